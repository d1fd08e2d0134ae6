/// `muster/v1/{c}/trust`: the keys with which central signs its statements. It is signed with the key of the server authority, which every
/// member got when it enrolled.
package struct TrustStatement: Message {
  package static var kind: String { "trust" }

  package struct Key: Codable, Hashable, Sendable {
    package var key: StatementKey
    /// The kinds of the statements that it may sign.
    package var kinds: [String]

    package init(key: StatementKey, kinds: [String]) {
      self.key = key
      self.kinds = kinds
    }
  }

  /// Increases with every change of the keys. A member ignores a lower one.
  package var version: Int
  /// See ``Bounds/generation``.
  package var generation: Int
  package var keys: [Key]

  package init(version: Int, generation: Int, keys: [Key]) {
    self.version = version
    self.generation = generation
    self.keys = keys
  }
}

extension TrustStatement: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try Bounds.count.require(version, "version")
    try Bounds.generation.require(generation, "generation")
    guard (1...8).contains(keys.count), Set(keys.map(\.key.id)).count == keys.count else {
      throw RangeError(member: "keys", detail: "must be 1 to 8 keys with different ids")
    }
  }
}

extension Bounds<Int> {
  /// The generation of central's state: 0, or the time in seconds at which an older copy of it was restored. Members never go back to a
  /// lower pair of generation and revision.
  package static var generation: Bounds { Bounds(0...1 << 40) }
}

/// The keys whose statements a program believes.
package struct TrustedKeys: Hashable, Sendable {
  private let keys: [KeyID: TrustStatement.Key]

  package init(_ keys: [TrustStatement.Key]) {
    self.keys = Dictionary(keys.map { ($0.key.id, $0) }) { first, _ in first }
  }

  package init(_ trust: TrustStatement) { self.init(trust.keys) }

  /// Trusts the server authority for statements of kind `trust`.
  package init(authority: StatementKey) { self.init([.init(key: authority, kinds: [TrustStatement.kind])]) }

  func check(_ line: SignedLine, kind: String) throws(StatementError) {
    guard let found = keys[line.key] else { throw .unknownKey(line.key) }
    guard found.kinds.contains(kind) else { throw .notAllowed(line.key, kind: kind) }
    guard line.isSigned(by: found.key, kind: kind) else { throw .wrongSignature(line.key) }
  }
}

extension MessageCoder {
  /// Encodes and signs a message. The result fits a topic.
  package static func sign<M: Message>(_ message: M, with key: SigningKey) throws -> [UInt8] {
    let line = try SignedLine.signing(try encode(message), kind: M.kind, with: key).bytes
    guard line.count <= maximumBytes else { throw MessageError.tooLarge(bytes: line.count) }
    return line
  }

  /// Decodes a message whose signature is right and from a key that may sign such messages.
  package static func decode<M: Message>(_: M.Type, from line: some Collection<UInt8>, trusting keys: TrustedKeys) throws(StatementError)
    -> M
  {
    let line = try SignedLine(parsing: line)
    try keys.check(line, kind: M.kind)
    do { return try decode(M.self, from: line.body) } catch { throw .message(error) }
  }
}
