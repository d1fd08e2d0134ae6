import FoundationEssentials
import MusterCoordination
import MusterSchema
import MusterTensors
import Synchronization
import TestSupport
import Testing

@testable import MusterDataPlane
@testable import MusterServer

/// The commands of docs/http.md, unchanged.
@Suite struct CurlTests {
  @Test("An update of three parts goes up with curl, split and openssl")
  func parts() async throws {
    try await TestServer.with { server in
      let base = try server.blob(
        try SafetensorsWriter.bytes([Tensor(name: "w", shape: [600_000], floats: [Float](repeating: 0, count: 600_000))]))
      server.ledger.admit(.open(UploadTerms(base: base, maximumWeight: 1e9, maximumBytes: 1 << 30)))
      let tensor = try Tensor(name: "w", shape: [600_000], floats: [Float](repeating: 1, count: 600_000))
      let body = try SafetensorsWriter.bytes([tensor], metadata: try Update(base: base).metadata)
      try Data(body).write(to: URL(filePath: server.folder.file("update")))
      let script = """
        cd \(server.folder.path)
        U=\(server.address)\(UploadProtocolTests.path)  A="Authorization: Bearer t"  D=sha256:$(sha256sum < update | cut -c1-64)
        split -b 1M -d update part.
        curl -si -X PUT -T part.00 $U -H "$A" -H 'Upload-Complete: ?0' -H "Upload-Length: $(stat -c %s update)" \
          -H "Repr-Digest: sha-256=:$(openssl dgst -sha256 -binary update | base64):"
        curl -sI "$U?digest=$D" -H "$A"
        curl -si -X PATCH -T part.01 "$U?digest=$D" -H "$A" -H 'Content-Type: application/partial-upload' \
          -H 'Upload-Offset: 1048576' -H 'Upload-Complete: ?0'
        curl -si -X PATCH -T part.02 "$U?digest=$D" -H "$A" -H 'Content-Type: application/partial-upload' \
          -H 'Upload-Offset: 2097152' -H 'Upload-Complete: ?1'
        """
      let curl = try ChildProcess("/bin/sh", ["-c", script], log: server.folder.file("curl.log"))
      #expect(try await curl.wait(within: .seconds(60)) == 0)
      let heads = curl.log.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("HTTP/1.1 ") && !$0.contains(" 100 ") }
      #expect(
        heads == [
          "HTTP/1.1 104 Upload Resumption Supported", "HTTP/1.1 202 Accepted", "HTTP/1.1 204 No Content", "HTTP/1.1 204 No Content",
          "HTTP/1.1 201 Created",
        ], "\(curl.log)")
      #expect(server.ledger.offers.map(\.digest) == [Digest(of: body)])
    }
  }
}
