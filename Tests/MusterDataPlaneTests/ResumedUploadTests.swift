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

/// A large upload through a proxy that breaks the connection. Checks how many bytes are sent again.
@Suite struct ResumedUploadTests {
  /// 50 MB of tensors.
  static let count = 13_107_200
  static let part = 1 << 20

  private func big(_ fill: Float, base: Digest? = nil) throws -> [UInt8] {
    let tensor = try Tensor(name: "w", shape: [Self.count], floats: [Float](repeating: fill, count: Self.count))
    guard let base else { return try SafetensorsWriter.bytes([tensor]) }
    return try SafetensorsWriter.bytes([tensor], metadata: try Update(base: base).metadata)
  }

  @Test("An upload of 50 MB whose connection breaks sends at most one part again", arguments: [10, 50, 90])
  func cutOnce(percent: Int) async throws {
    try await TestServer.with { server in
      let base = try server.blob(try big(0))
      let body = try big(1, base: base)
      let digest = Digest(of: body)
      server.ledger.admit(.open(UploadTerms(base: base, maximumWeight: 1e9, maximumBytes: 1 << 30)))
      let file = server.folder.file("update")
      try Data(body).write(to: URL(filePath: file))
      let cutAt = body.count / 100 * percent
      let isCut = Mutex(false)
      let proxy = try CuttingProxy(to: server.port) { total in
        isCut.withLock { isCut in
          if isCut || total < cutAt { return .pass }
          isCut = true
          return .cut
        }
      }
      let sent = Mutex(0)
      var upload = ResumableUpload(
        UploadSource(file: file), to: "\(proxy.address)/v1/tasks/digits/rounds/3/updates/north/pi-1", ticket: Ticket("t"), digest: digest,
        sent: { more in sent.withLock { $0 += more } })
      await #expect(throws: TransferError.self) { try await server.client.upload(upload) }
      let wasCut = isCut.withLock { $0 }
      #expect(wasCut)
      upload.resumes = true
      #expect(try await server.client.upload(upload) == 201)
      let again = sent.withLock { $0 } - body.count
      print("cut at \(percent) %: \(body.count) bytes, \(again) sent again, \(proxy.received) through the proxy with all heads")
      #expect(again >= 0)
      #expect(again <= Self.part)
      #expect(server.ledger.offers.map(\.digest) == [digest])
      #expect(server.store.size(of: digest) == body.count)
      #expect(server.store.partials.totals.count == 0)
    }
  }

  @Test("An upload whose answer was lost is found accepted")
  func lostAnswer() async throws {
    try await TestServer.with { server in
      let base = try server.blob(try Update.baseBytes)
      let body = try Update(base: base).bytes
      let digest = Digest(of: body)
      server.ledger.admit(.accepted(digest))
      let file = try server.folder.write(String(repeating: "x", count: 3), to: "x")
      let url = "\(server.address)/v1/tasks/digits/rounds/3/updates/north/pi-1"
      var upload = ResumableUpload(UploadSource(file: file), to: url, ticket: nil, digest: digest, partBytes: 1, resumes: true)
      #expect(try await server.client.upload(upload) == 200)
      upload.digest = Digest(of: [1])
      await #expect(throws: TransferError.self) { try await server.client.upload(upload) }
    }
  }
}
