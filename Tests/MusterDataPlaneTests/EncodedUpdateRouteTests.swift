import FoundationEssentials
import MusterCoordination
import MusterSchema
import MusterStorage
import MusterTensors
import MusterTransfer
import Synchronization
import TestSupport
import Testing

@testable import MusterDataPlane
@testable import MusterServer

@Suite("Encoded updates at the data plane") struct EncodedUpdateRouteTests {
  private let place = "/v1/tasks/digits/rounds/3/updates/north/pi-1"

  /// Runs a round of a task with this encoding. Its base is encoded if the encoding requires it.
  private func withRound(
    _ encoding: EncodingSpecification, _ body: @Sendable (TestServer, Digest) async throws -> Void
  ) async throws {
    try await TestServer.with { server in
      var bytes = try Update.baseBytes
      if let tensors = TensorEncoding(name: encoding.name), tensors.encodesModels {
        let plain = try server.folder.write(bytes, to: "plain")
        try tensors.encode(model: SafetensorsFile(path: plain), to: server.folder.file("wire"))
        bytes = try Array(Data(contentsOf: URL(filePath: server.folder.file("wire"))))
      }
      let base = try server.blob(bytes)
      server.ledger.admit(.open(UploadTerms(base: base, maximumWeight: 1000, maximumBytes: 1 << 20, encoding: encoding)))
      try await body(server, base)
    }
  }

  /// The bytes of a device's encoded update.
  private func encoded(_ server: TestServer, _ base: Digest, _ encoding: TensorEncoding, _ change: (inout Update) -> Void = { _ in }) throws
    -> [UInt8]
  {
    var update = try Update(base: base)
    update.metadata["muster.content"] = "delta"
    change(&update)
    let file = try server.folder.write(try update.bytes, to: "update")
    try encoding.encode(
      update: SafetensorsFile(path: file), since: nil, to: server.folder.file("encoded"), metadata: update.metadata)
    return try Array(Data(contentsOf: URL(filePath: server.folder.file("encoded"))))
  }

  private func put(_ server: TestServer, _ bytes: [UInt8]) async throws -> (status: Int, detail: String) {
    do {
      let answer = try await server.client.send(
        "PUT", server.address + place, body: bytes, headers: [("Content-Digest", Digest(of: bytes).contentDigest)])
      return (answer.status, "")
    } catch {
      return (error.status ?? 0, error.problem?.detail ?? "\(error)")
    }
  }

  @Test("an update in the task's encoding is stored", arguments: ["float16", "bfloat16", "int8", "topk"])
  func stored(name: String) async throws {
    let encoding = try #require(TensorEncoding(name: name, fraction: 0.3))
    try await withRound(EncodingSpecification(name: name)) { server, base in
      let answer = try await put(server, try encoded(server, base, encoding))
      #expect(answer.status == 201, "\(answer.detail)")
      #expect(server.ledger.offers.count == 1)
    }
  }

  @Test("a region's plain difference is stored, too")
  func plain() async throws {
    try await withRound(.int8) { server, base in
      var update = try Update(base: base)
      update.metadata["muster.content"] = "delta"
      let answer = try await put(server, try update.bytes)
      #expect(answer.status == 201, "\(answer.detail)")
    }
  }

  @Test("parameters, another encoding, and an encoding that the task does not have are refused with the reason")
  func wrong() async throws {
    try await withRound(.int8) { server, base in
      let parameters = try await put(server, try encoded(server, base, .int8) { $0.metadata["muster.content"] = "parameters" })
      #expect(parameters.status == 422 && parameters.detail.contains("delta"), "\(parameters)")
      let other = try await put(server, try encoded(server, base, .topK(fraction: 0.5)))
      #expect(other.status == 422 && other.detail.contains("encoding is int8"), "\(other)")
    }
    try await withRound(.float32) { server, base in
      let any = try await put(server, try encoded(server, base, .int8))
      #expect(any.status == 422 && any.detail.contains("encoding is float32"), "\(any)")
    }
  }

  @Test("what is hostile in an encoded update is refused, and nothing stays")
  func hostile() async throws {
    let index = try Tensor(name: "index/conv.bias", dtype: .i32, shape: [1], data: [4, 0, 0, 0])
    let value = try Tensor(name: "value/conv.bias", shape: [1], floats: [1])
    let weight = try [
      Tensor(name: "index/conv.weight", dtype: .i32, shape: [1], data: [0, 0, 0, 0]),
      Tensor(name: "value/conv.weight", shape: [1], floats: [.infinity]),
    ]
    let bias = try Tensor(name: "index/conv.bias", dtype: .i32, shape: [1], data: [3, 0, 0, 0])
    let codes = try Tensor(name: "value/conv.weight", dtype: .i8, shape: [4, 3], data: [UInt8](repeating: 1, count: 12))
    let scales = try Tensor(name: "scale/conv.weight", shape: [4], floats: [1, 1, 1, 1])
    let small = try [
      Tensor(name: "value/conv.bias", dtype: .i8, shape: [4], data: [1, 1, 1, 1]), Tensor(name: "scale/conv.bias", shape: [], floats: [1]),
    ]
    let cases: [(EncodingSpecification, [Tensor], String)] = [
      (.topK(fraction: 0.5), weight + [index, value], "positions"), (.topK(fraction: 0.5), weight + [bias, value], "infinity"),
      (.topK(fraction: 0.5), [bias, value], "missing tensor \"conv.weight\""), (.int8, [codes, scales], "missing tensor \"conv.bias\""),
      (.int8, [codes] + small, "wrong dtype"),
      (.int8, [codes, try Tensor(name: "scale/conv.weight", shape: [4], floats: [1, 1, -1, 1])] + small, "scale"),
      (.int8, [codes, scales, try Tensor(name: "x", shape: [1], floats: [1])] + small, "not a part"),
    ]
    for (encoding, tensors, reason) in cases {
      try await withRound(encoding) { server, base in
        var update = try Update(base: base)
        update.metadata["muster.content"] = "delta"
        update.metadata["muster.encoding"] = encoding.name
        update.tensors = tensors
        let answer = try await put(server, try update.bytes)
        #expect(answer.status == 422 && answer.detail.contains(reason), "\(reason): \(answer)")
        #expect(try await eventually { try server.staged == 0 })
      }
    }
  }
}
