import MusterSchema
import Testing

@Suite("Digests, grants and tickets")
struct DigestTests {
  private let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

  @Test("SHA-256 of the standard's vectors, at once and in steps")
  func vectors() {
    #expect(Digest(of: Array("abc".utf8)).description == "sha256:\(abc)")
    #expect(Digest(of: []).hexadecimal == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    var hasher = Digest.Hasher()
    hasher.update(Array("a".utf8))
    hasher.update([])
    [UInt8]("bc".utf8).withUnsafeBytes { hasher.update($0) }
    #expect(hasher.finish().hexadecimal == abc)
  }

  @Test("read with and without its prefix, and nothing else")
  func reading() {
    #expect(Digest("sha256:\(abc)") == Digest(abc))
    for text in [
      "", "sha256:", abc.uppercased(), String(abc.dropLast()), abc + "0", "sha512:\(abc)", " \(abc)", "sha256:sha256:\(abc)",
      String(abc.dropLast()) + "g", String(abc.dropLast(2)) + "é",
    ] { #expect(Digest(text) == nil, "\(text)") }
  }

  @Test("Content-Digest as RFC 9530 writes it, appendix B")
  func contentDigest() {
    let digest = Digest(of: Array("{\"hello\": \"world\"}\n".utf8))
    #expect(digest.contentDigest == "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:")
    #expect(Digest(contentDigest: "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:") == digest)
    #expect(Digest(contentDigest: "sha-512=:AAAA:, sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:") == digest)
    #expect(Digest(contentDigest: "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=: , sha-512=:AAAA:") == digest)
    for field in ["", "sha-256", "sha-256=::", "sha-256=:AAAA:", "sha-256=RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=", "sha-512=:AAAA:"] {
      #expect(Digest(contentDigest: field) == nil, "\(field)")
    }
  }

  /// Expected values from Python's hmac, with the key 00 01 … 1f.
  @Test("grants and tickets derive by HMAC-SHA256, from grant to child to ticket")
  func derivation() throws {
    let (north, pi, digits) = (NodeID(unchecked: "north"), NodeID(unchecked: "pi-1"), TaskID(unchecked: "digits"))
    let grant = Grant(secret: Array(0..<32), task: digits)
    #expect(grant.hexadecimal == "28f6f03e0410f01637d35aa92d6d5ffe68d45224c65845c11b4bd5852cf2643e")
    #expect(grant.child(north).hexadecimal == "add70a4eb71e3db46a02b4e5486d34ff7c5a1ee1e1c70c8fbe33fb15a802295d")
    let device = grant.descendant(NodePath(north, pi))
    #expect(device.hexadecimal == "b2c3a0aae836ce10b17398d98ada139f3730e983b32556fd3f3d9d93e2f638ef")
    #expect(device == grant.child(north).child(pi))
    let train = device.ticket(task: digits, round: 3, phase: .train)
    #expect(train.text == "1e676ee1f7390ac71104afacaf09b707764e1f824168e1b5bc049ea6bf50d848")
    let evaluate = device.ticket(task: digits, round: 3, phase: .evaluate)
    #expect(evaluate.text == "4da17356c06bbccaa112883eb34f1485b60eac79550592f5b3749b0c92a676bc")
    #expect(train != evaluate && train == Ticket(train.text))
  }

  @Test("neither a grant nor a ticket shows itself in a text")
  func hidden() throws {
    let grant = try #require(Grant(hexadecimal: abc))
    #expect(!"\(grant) \(String(describing: grant)) \(Ticket(abc))".contains("ba78"))
    #expect(Grant(hexadecimal: abc.uppercased()) == nil && Grant(hexadecimal: "") == nil)
    #expect(throws: DecodingError.self) { try JSON.decode([Grant].self, from: Array(#"["00"]"#.utf8)) }
  }

  @Test("tickets of unequal length are unequal")
  func length() { #expect(Ticket("a") != Ticket("ab") && Ticket("") == Ticket("")) }
}
