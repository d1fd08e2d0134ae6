import Testing

@testable import MusterSchema

@Suite("Signed lines")
struct SignedLineTests {
  private let key = SigningKey()
  private var keys: TrustedKeys { TrustedKeys([.init(key: key.key, kinds: ["member", "task"])]) }

  private let member = MemberStatement(
    node: NodeID(unchecked: "pi-1"), nodeKind: .device, region: NodeID(unchecked: "north"), key: Digest(of: [1]),
    broker: "mqtts://north.example.org:8883", central: "https://central.example.org:7400", data: "https://north.example.org:7410",
    revision: 1,
    generation: 0)

  @Test("a signed message is read back by those who trust the key, and by those who check no signature")
  func roundTrip() throws {
    let line = try MessageCoder.sign(member, with: key)
    #expect(try MessageCoder.decode(MemberStatement.self, from: line, trusting: keys) == member)
    #expect(try MessageCoder.decode(MemberStatement.self, from: line) == member)
    let plain = try MessageCoder.encode(member)
    #expect(line.count == plain.count + SignedLine.signatureBytes)
    let text = String(decoding: line, as: UTF8.self)
    #expect(text.hasPrefix(#"{"kind":"member","#) && !text.contains("\n"))
    #expect(text.hasPrefix(String(decoding: plain.dropLast(), as: UTF8.self) + #","signature":"\#(key.key.id)."#))
  }

  @Test("no byte of a signed line can be changed, removed or repeated")
  func alterations() throws {
    let line = try MessageCoder.sign(member, with: key)
    for position in line.indices {
      for altered in [
        line[..<position] + [line[position] ^ 1] + line[(position + 1)...], line[..<position] + line[(position + 1)...],
        line[...position] + line[position...],
      ] {
        #expect(throws: StatementError.self) {
          try MessageCoder.decode(MemberStatement.self, from: altered, trusting: keys)
        }
      }
    }
  }

  @Test("a statement of one kind does not pass as another, even if a key may sign both")
  func kinds() throws {
    let line = try MessageCoder.sign(member, with: key)
    let asTask = String(decoding: line, as: UTF8.self).replacing(#""kind":"member""#, with: #""kind":"task""#)
    #expect(throws: StatementError.wrongSignature(key.key.id)) {
      try MessageCoder.decode(TaskDescriptor.self, from: Array(asTask.utf8), trusting: keys)
    }
    // The reader's expectation is part of what is verified, not the line's own word.
    #expect(throws: StatementError.wrongSignature(key.key.id)) {
      try MessageCoder.decode(TaskDescriptor.self, from: line, trusting: keys)
    }
  }

  @Test("keys that are not trusted, or not for this kind, are named")
  func keyRights() throws {
    let other = SigningKey()
    #expect(throws: StatementError.unknownKey(other.key.id)) {
      try MessageCoder.decode(MemberStatement.self, from: try MessageCoder.sign(member, with: other), trusting: keys)
    }
    let tasksOnly = TrustedKeys([.init(key: key.key, kinds: ["task"])])
    #expect(throws: StatementError.notAllowed(key.key.id, kind: "member")) {
      try MessageCoder.decode(MemberStatement.self, from: try MessageCoder.sign(member, with: key), trusting: tasksOnly)
    }
    #expect(throws: StatementError.unsigned) {
      try MessageCoder.decode(MemberStatement.self, from: try MessageCoder.encode(member), trusting: keys)
    }
  }

  @Test("a key that only claims the id of a trusted one is refused")
  func forgedID() throws {
    let other = SigningKey()
    let forged = String(decoding: try MessageCoder.sign(member, with: other), as: UTF8.self)
      .replacing("\(other.key.id).", with: "\(key.key.id).")
    #expect(throws: StatementError.wrongSignature(key.key.id)) {
      try MessageCoder.decode(MemberStatement.self, from: Array(forged.utf8), trusting: keys)
    }
  }

  @Test("a line with two signatures is refused, in whichever order they were added")
  func twoSignatures() throws {
    let other = SigningKey()
    let once = try MessageCoder.sign(member, with: key)
    for second in [key, other] {
      let twice = try SignedLine.signing(once, kind: "member", with: second).bytes
      #expect(throws: StatementError.signedTwice) { try MessageCoder.decode(MemberStatement.self, from: twice, trusting: keys) }
    }
  }

  @Test("a signature inside of a message is a member like any other")
  func innerSignature() throws {
    let body = Array(#"{"kind":"task","options":{"signature":"\#(key.key.id).\#(String(repeating: "A", count: 86))"}}"#.utf8)
    #expect(throws: StatementError.unsigned) { try SignedLine(parsing: body) }
    let signed = try SignedLine.signing(body, kind: "task", with: key)
    #expect(try SignedLine(parsing: signed.bytes) == signed)
    #expect(signed.isSigned(by: key.key, kind: "task"))
  }

  @Test("a message that fills a topic's payload cannot be signed, and a longer line is not read")
  func size() throws {
    var large = member
    large.broker = "mqtts://" + String(repeating: "a", count: MessageCoder.maximumBytes - 400)
    let free = MessageCoder.maximumBytes - SignedLine.signatureBytes - (try MessageCoder.encode(large).count)
    large.broker += String(repeating: "a", count: free)
    #expect(try MessageCoder.sign(large, with: key).count == MessageCoder.maximumBytes)
    large.broker += "a"
    #expect(throws: MessageError.tooLarge(bytes: MessageCoder.maximumBytes + 1)) { try MessageCoder.sign(large, with: key) }
    let line = try MessageCoder.sign(member, with: key)
    let padded = line + [UInt8](repeating: UInt8(ascii: " "), count: MessageCoder.maximumBytes)
    #expect(throws: StatementError.message(.tooLarge(bytes: padded.count))) { try SignedLine(parsing: padded) }
  }

  @Test("short and empty lines are not signed", arguments: ["", "{}", "}", #""}"#, #","signature":""}"#])
  func short(_ text: String) {
    #expect(throws: StatementError.unsigned) { try SignedLine(parsing: Array(text.utf8)) }
  }

  @Test("the server authority's key signs the list of keys, and nothing else")
  func trust() throws {
    let authority = try #require(SigningKey(p256: [UInt8](repeating: 7, count: 32)))
    let trust = TrustStatement(version: 1, generation: 0, keys: [.init(key: key.key, kinds: ["member"])])
    let line = try MessageCoder.sign(trust, with: authority)
    let read = try MessageCoder.decode(TrustStatement.self, from: line, trusting: TrustedKeys(authority: authority.key))
    #expect(read == trust)
    #expect(throws: StatementError.notAllowed(authority.key.id, kind: "member")) {
      try MessageCoder.decode(
        MemberStatement.self, from: try MessageCoder.sign(member, with: authority), trusting: TrustedKeys(authority: authority.key))
    }
    // A statement key cannot add another key.
    #expect(throws: StatementError.unknownKey(key.key.id)) {
      try MessageCoder.decode(
        TrustStatement.self, from: try MessageCoder.sign(trust, with: key), trusting: TrustedKeys(authority: authority.key))
    }
  }

  @Test("lists without keys, with too many, or with two of one id are refused")
  func keyLists() throws {
    let authority = try #require(SigningKey(p256: [UInt8](repeating: 7, count: 32)))
    let one = TrustStatement.Key(key: key.key, kinds: ["task"])
    for keys in [[], [one, one], (0..<9).map { _ in TrustStatement.Key(key: SigningKey().key, kinds: []) }] {
      let line = try MessageCoder.sign(TrustStatement(version: 1, generation: 0, keys: keys), with: authority)
      let error = #expect(throws: StatementError.self) {
        try MessageCoder.decode(TrustStatement.self, from: line, trusting: TrustedKeys(authority: authority.key))
      }
      #expect("\(error.map { "\($0)" } ?? "")".contains("keys: must be 1 to 8"))
    }
  }

  @Test("the public form of a key is read back, and nothing like it")
  func keyTexts() throws {
    let p256 = try #require(SigningKey(p256: [UInt8](repeating: 7, count: 32))).key
    for key in [key.key, p256] { #expect(StatementKey("\(key)") == key) }
    for text in [
      "", "ed25519:", "ed25519:AA", "rsa:\(Base64URL.encode([1]))", "p256:\(Base64URL.encode([UInt8](repeating: 4, count: 32)))",
    ] {
      #expect(StatementKey(text) == nil)
    }
    // Right in length, but not a point of the curve.
    #expect(!StatementKey.p256([UInt8](repeating: 4, count: 65)).verifies([UInt8](repeating: 1, count: 64), of: [1]))
    #expect(SigningKey(ed25519: [1]) == nil && SigningKey(p256: [UInt8](repeating: 0, count: 32)) == nil)
    #expect(!"\(key)".contains(Base64URL.encode(key.bytes)))
  }
}

@Suite("Base64 for URLs")
struct Base64URLTests {
  @Test("vectors of RFC 4648, without their padding")
  func vectors() {
    for (bytes, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("foobar", "Zm9vYmFy")] {
      #expect(Base64URL.encode(bytes.utf8) == text)
      #expect(Base64URL.decode(text) == Array(bytes.utf8))
    }
    #expect(Base64URL.encode([0xfb, 0xff, 0xbf]) == "-_-_" && Base64URL.decode("-_-_") == [0xfb, 0xff, 0xbf])
  }

  @Test("each value has one spelling", arguments: ["Zg==", "Zh", "Z", "+/+/", "Zm 9v", "Zm9v\n", "Zm9ü", "A"])
  func oneSpelling(_ text: String) { #expect(Base64URL.decode(text) == nil) }
}
