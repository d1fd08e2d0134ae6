import FoundationEssentials
import MusterCoordination
import MusterGround
import MusterSchema
import MusterTensors
import Synchronization
import TestSupport
import Testing

@testable import MusterAgent

@Suite("Encoded updates of a device", .timeLimit(.minutes(1))) struct EncodedDeviceTests {
  /// A trainer that keeps a copy of the model it was given, and returns the update that the test has prepared.
  private static let script = """
    cp "$1/global.safetensors" "$(dirname "$0")/seen.safetensors"
    cp "$(dirname "$0")/next.safetensors" "$1/update.safetensors"
    echo '{"samples":7,"metrics":{"loss":0.25}}' > "$1/metrics.json"
    """

  private static func write(_ values: [Float], _ device: Device) throws {
    try device.folder.write(SafetensorsWriter.bytes([Tensor(name: "w", shape: [values.count], floats: values)]), to: "next.safetensors")
  }

  private static func open(_ body: [UInt8], _ device: Device) throws -> SafetensorsFile {
    try SafetensorsFile(path: device.folder.write(body, to: "sent-\(UInt32.random(in: .min ... .max))"))
  }

  @Test("what top-k leaves out comes with a later update, over a restart too; of an update that does not count nothing is kept")
  func feedback() async throws {
    let status = Mutex(201)
    let answers = Answers { _ in .init(status: status.withLock { $0 }) }
    try await Device.with(trainer: Self.script, answering: answers) { device in
      try Self.write([1, 0.5, 0.25], device)
      let expected: [(position: UInt8, value: Float)] = [(0, 1), (0, 1), (1, 1.5), (1, 1.5), (0, 2)]
      for round in 1...5 {
        // The third update is refused, so it must have no effect on later ones.
        status.withLock { $0 = round == 3 ? 410 : 201 }
        let said = device.states.count
        try await device.withAgent {
          if round == 1 { try await device.prepare(encoding: .topK(fraction: 0.3)) }
          #expect(try await eventually { device.states.count > said })
          try device.invite(round: round)
          #expect(try await eventually { device.uploads().count == round })
          #expect(try await eventually { Files.names(in: device.folder.file("state/jobs")).isEmpty })
        }
        let file = try Self.open(try #require(device.uploads().last).body, device)
        #expect(file.metadata["muster.content"] == "delta" && file.metadata["muster.encoding"] == "topk")
        #expect(try file.tensor(named: "index/w").data == [expected[round - 1].position, 0, 0, 0], "round \(round)")
        #expect(try file.floats(of: "value/w") == [expected[round - 1].value], "round \(round)")
      }
      try await device.withAgent {
        #expect(Files.names(in: device.folder.file("state/residuals")) == ["digits"])
        try device.describe(revision: 2, state: .closed, encoding: .topK(fraction: 0.3))
        #expect(try await eventually { Files.names(in: device.folder.file("state/residuals")).isEmpty })
      }
    }
  }

  @Test("an encoded model is plain for the trainer, and the update is the difference to it")
  func int8() async throws {
    let folder = try TemporaryFolder()
    try SafetensorsWriter.write([Tensor(name: "w", shape: [3], floats: [1, -0.5, 0.3])], to: folder.file("model"))
    try TensorEncoding.int8.encode(model: SafetensorsFile(path: folder.file("model")), to: folder.file("wire"))
    try EncodedFile(SafetensorsFile(path: folder.file("wire"))).decode(to: folder.file("plain"))
    let plain = try SafetensorsFile(path: folder.file("plain")).floats(of: "w")
    let wire = try Array(Data(contentsOf: URL(filePath: folder.file("wire"))))
    try await Device.with(trainer: Self.script, base: wire, answering: .always(201)) { device in
      try Self.write(plain.map { $0 + 0.127 }, device)
      try await device.withAgent {
        try await device.prepare(encoding: .int8)
        try device.invite()
        #expect(try await eventually { device.states.last == .done })
      }
      #expect(try SafetensorsFile(path: device.folder.file("seen.safetensors")).floats(of: "w") == plain)
      let file = try Self.open(try #require(device.uploads().first).body, device)
      #expect(file.metadata["muster.content"] == "delta" && file.metadata["muster.encoding"] == "int8")
      #expect(file.metadata["muster.base"] == "\(Digest(of: wire))")
      #expect(try file.tensor(named: "value/w").data == [127, 127, 127])
      #expect(try (file.floats(of: "scale/w")[0] - 0.001).magnitude < 1e-6)
    }
  }

  @Test("an encoding that the agent does not know is declined, with its name")
  func unknown() async throws {
    try await Device.with(answering: .always(201)) { device in
      try await device.withAgent {
        try device.announce()
        try device.describe(encoding: .other("morse"))
        #expect(try await eventually { device.statuses.last?.state == .declined })
        #expect(device.statuses.last?.reason?.contains("morse") == true)
      }
    }
  }
}
