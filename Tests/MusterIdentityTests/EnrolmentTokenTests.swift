import MusterSchema
import Testing

@testable import MusterIdentity

@Suite("Enrolment tokens")
struct EnrolmentTokenTests {
  private func token() throws -> EnrolmentToken {
    EnrolmentToken(
      id: try TokenID(validating: "k3v9"), entry: try ServerAddress(base: "https://central.example.org:7400"),
      authority: Digest(of: Array("authority".utf8)), secret: Array(0..<16))
  }

  @Test("a token is read back, and shows its secret only when asked for its text")
  func roundTrip() throws {
    let token = try token()
    #expect(try EnrolmentToken(parsing: token.text) == token)
    #expect(token.text.hasPrefix("muster1.k3v9."))
    #expect(!"\(token)".contains(Base64URL.encode(0..<16)) && !"\(token.key)".contains(token.key.digest.hexadecimal))
    #expect(token.text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "'") && $0 != UInt8(ascii: "\"") })
  }

  @Test("a request proves that its sender has the token, without the secret or what central stores being sent")
  func authentication() throws {
    let key = try token().key
    let body = Array(#"{"request":"…"}"#.utf8)
    let code = key.authentication(of: body)
    #expect(TokenKey(key.digest).authenticates(body, with: code))
    #expect(!key.authenticates(body + [0], with: code))
    #expect(!key.authenticates(body, with: Array(code.dropLast())) && !key.authenticates(body, with: []))
    let other = EnrolmentToken(
      id: try token().id, entry: try token().entry, authority: try token().authority, secret: [UInt8](repeating: 9, count: 16))
    #expect(!other.key.authenticates(body, with: code))
  }

  @Test(
    "what is not a token says what is wrong with it, and never repeats the secret",
    arguments: [
      ("", "does not begin with muster1."), ("hello", "does not begin with muster1."), ("muster2.a.b.c.d", "newer kind (muster2)"),
      ("muster1.k3v9", "has 2 parts instead of 5: was it copied completely?"), ("muster1.K!.a.b.c", "token id"),
      ("muster1.k3v9.?.b.c", "address is not base64url"),
    ])
  func malformed(_ text: String, _ why: String) {
    let error = #expect(throws: EnrolmentTokenError.self) { try EnrolmentToken(parsing: text) }
    #expect(error.map { "\($0)" }?.contains(why) == true, "\(error.map { "\($0)" } ?? "")")
  }

  @Test("each part is checked: plain addresses, cut digests and cut secrets are refused")
  func parts() throws {
    let parts = try token().text.split(separator: ".").map(String.init)
    func with(_ index: Int, _ value: String) -> String {
      var parts = parts
      parts[index] = value
      return parts.joined(separator: ".")
    }
    for (text, why) in [
      (with(2, Base64URL.encode("http://central:7400".utf8)), "does not begin with https://"),
      (with(2, Base64URL.encode("https://u:p@central".utf8)), "user name"),
      (with(3, Base64URL.encode([1, 2, 3])), "not a SHA-256"), (with(4, String(parts[4].dropLast(3))), "secret does not have 16 bytes"),
      (with(4, parts[4] + "AA"), "secret does not have 16 bytes"), (with(1, String(repeating: "a", count: 2000)), "longer than 1024"),
    ] {
      let error = #expect(throws: EnrolmentTokenError.self) { try EnrolmentToken(parsing: text) }
      let said = error.map { "\($0)" } ?? ""
      #expect(said.contains(why), "\(said)")
      #expect(!said.contains(parts[4]))
    }
  }
}
