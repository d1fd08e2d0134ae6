/// An identifier that is safe inside a topic, a path and a file name: `[a-z0-9][a-z0-9-]{0,62}`.
///
/// There is no way to make one that holds `/`, `+`, `#`, a dot or a control character, so whatever carries an identifier cannot be
/// used to inject a topic level or a folder.
public protocol Identifier: RawRepresentable, Codable, CodingKeyRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible
where RawValue == String {
  /// What the identifier names, for messages: `task id`.
  static var noun: String { get }
  init(unchecked rawValue: String)
}

/// Why a text is not an identifier.
public struct IdentifierError: Error, Hashable, CustomStringConvertible {
  public let noun: String
  public let text: String

  public var description: String {
    return "\(noun) \"\(text.shown(80))\" must be 1 to 63 of a-z, 0-9 and -, and start with a letter or a digit"
  }
}

extension Identifier {
  public init?(rawValue: String) {
    guard isIdentifier(rawValue) else { return nil }
    self.init(unchecked: rawValue)
  }

  public init(validating text: some StringProtocol) throws(IdentifierError) {
    guard isIdentifier(String(text)) else { throw IdentifierError(noun: Self.noun, text: String(text)) }
    self.init(unchecked: String(text))
  }

  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    do {
      try self.init(validating: text)
    } catch {
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: error.description))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }

  public var description: String { rawValue }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

private func isIdentifier(_ text: String) -> Bool {
  let bytes = text.utf8
  guard (1...63).contains(bytes.count), bytes.first != UInt8(ascii: "-") else { return false }
  return bytes.allSatisfy { byte in
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
      || byte == UInt8(ascii: "-")
  }
}

extension String {
  /// The text with control characters replaced, safe for a log line or a terminal.
  public var withoutControlCharacters: String {
    String(String.UnicodeScalarView(unicodeScalars.map { $0.value < 0x20 || ($0.value >= 0x7f && $0.value < 0xa0) ? "\u{FFFD}" : $0 }))
  }
}

extension StringProtocol {
  /// At most so many bytes of it, without control characters: what others wrote, for a message or a log. Characters are no bound, one may be
  /// any number of bytes long.
  package func shown(_ limit: Int) -> String {
    guard utf8.count > limit else { return String(self).withoutControlCharacters }
    var short = ""
    for scalar in unicodeScalars {
      guard short.utf8.count + scalar.utf8.count <= limit else { break }
      short.unicodeScalars.append(scalar)
    }
    return short.withoutControlCharacters + "…"
  }
}

/// A node or a coordinator: `north`, `pi-1`, `central`.
public struct NodeID: Identifier {
  public static var noun: String { "node id" }
  public let rawValue: String
  public init(unchecked rawValue: String) { self.rawValue = rawValue }

  /// The root coordinator's id, which no other node may take.
  public static let central = NodeID(unchecked: "central")
}

/// A task, named by the client that pushes it, so that a retried push is the same task.
public struct TaskID: Identifier {
  public static var noun: String { "task id" }
  public let rawValue: String
  public init(unchecked rawValue: String) { self.rawValue = rawValue }
}

/// Where a node stands below the root: `north`, or `north/pi-1`. One to eight levels.
public struct NodePath: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
  public let nodes: [NodeID]

  public init(_ first: NodeID, _ rest: NodeID...) { nodes = [first] + rest }

  /// A path of the given nodes; nil when there are none, or more than eight.
  public init?(_ nodes: [NodeID]) {
    guard (1...8).contains(nodes.count) else { return nil }
    self.nodes = nodes
  }

  public init(validating text: String) throws(IdentifierError) {
    var nodes: [NodeID] = []
    for part in text.split(separator: "/", maxSplits: 8, omittingEmptySubsequences: false) {
      nodes.append(try NodeID(validating: part))
    }
    guard let path = NodePath(nodes) else { throw IdentifierError(noun: "node path", text: text) }
    self = path
  }

  public func appending(_ node: NodeID) -> NodePath? { NodePath(nodes + [node]) }

  public var description: String { nodes.map(\.rawValue).joined(separator: "/") }
  /// In the order of their texts.
  public static func < (left: Self, right: Self) -> Bool {
    if let last = left.nodes.last, let other = right.nodes.last, left.nodes.dropLast() == right.nodes.dropLast() { return last < other }
    return left.description < right.description
  }

  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    do {
      try self.init(validating: text)
    } catch {
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: error.description))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
