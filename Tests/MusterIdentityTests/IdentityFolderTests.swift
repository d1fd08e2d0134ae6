import Glibc
import MusterSchema
import TestSupport
import Testing

@testable import MusterIdentity

@Suite("Identity on the disk")
struct IdentityFolderTests {
  @Test("the key is made once, readable for its owner only, and refused when others can read it")
  func key() throws {
    let folder = try TemporaryFolder()
    let identity = IdentityFolder(folder.file("identity"))
    #expect(try identity.identity() == nil)
    let key = try identity.key()
    #expect(try identity.key().fingerprint == key.fingerprint)
    #expect(!"\(key)".contains("PRIVATE"))
    var status = stat()
    #expect(stat(identity.keyFile, &status) == 0 && status.st_mode & 0o777 == 0o600)
    chmod(identity.keyFile, 0o640)
    #expect(throws: IdentityError.exposed(path: identity.keyFile)) { try identity.key() }
  }

  @Test("a damaged key is named, and never replaced")
  func damaged() throws {
    let folder = try TemporaryFolder()
    let identity = IdentityFolder(folder.path)
    let file = try folder.write(Array("-----BEGIN PRIVATE KEY-----\n".utf8), to: "key.pem")
    chmod(file, 0o600)
    #expect(throws: IdentityError.malformed("\(file) is not a P-256 key in PEM")) { try identity.key() }
  }

  @Test("PEM without an end, or not in base64, is refused; text around it is not")
  func pem() throws {
    let value: [UInt8] = Array(0..<100)
    let text = PEM.encode("CERTIFICATE", value)
    #expect(text.split(separator: "\n").allSatisfy { $0.count <= 64 })
    #expect(try PEM.decode("CERTIFICATE", in: "of north\n\(text)\n# end\n\(text)") == [value, value])
    #expect(try PEM.decode("X509 CRL", in: text).isEmpty)
    for bad in [String(text.dropLast(20)), text.replacing("\n-----END", with: "!\n-----END")] {
      #expect(throws: IdentityError.self) { try PEM.decode("CERTIFICATE", in: bad) }
    }
  }

  @Test("bytes that are not a certificate of a P-256 key are refused", arguments: [[], [0x30], [0x30, 0x80], [0x30, 0x84, 1, 1, 1, 1]])
  func notACertificate(_ bytes: [UInt8]) {
    #expect(throws: IdentityError.self) { try AuthorityCertificate(pem: PEM.encode("CERTIFICATE", bytes)) }
  }
}
