internal import Crypto

/// The key from which a coordinator derives tickets: 32 bytes, written in hexadecimal. Only its holder can admit the nodes below it.
///
/// A child's grant is HMAC-SHA256(parent's grant, child's id). So a ledger can check the ticket of a device that it never met with its own
/// key and the device's path, without a table. A ticket admits, but does not identify. Grants are never logged: `description` hides them.
package struct Grant: Hashable, Codable, Sendable, CustomStringConvertible {
  package let hexadecimal: String

  package init?(hexadecimal: String) {
    guard hexadecimal.utf8.count == 64, hexadecimal.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) else {
      return nil
    }
    self.hexadecimal = hexadecimal
  }

  /// The grant of one task, from the ledger's secret key. A leaked grant is worthless for other tasks.
  package init(secret: [UInt8], task: TaskID) { hexadecimal = hmac(key: secret, "task/\(task)").hexadecimal }

  package func child(_ node: NodeID) -> Grant { Grant(unchecked: derive("\(node)")) }
  package func descendant(_ path: NodePath) -> Grant { path.nodes.reduce(self) { $0.child($1) } }

  /// The ticket that admits one contribution of the grant's holder.
  package func ticket(task: TaskID, round: Int, phase: Phase) -> Ticket { Ticket(derive("\(task)/\(round)/\(phase.rawValue)")) }

  package var description: String { "grant:•••" }

  private init(unchecked hexadecimal: String) { self.hexadecimal = hexadecimal }
  private func derive(_ text: String) -> String { hmac(key: Array(hexadecimal.utf8), text).hexadecimal }

  package init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let grant = Grant(hexadecimal: text) else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "a grant must be 64 lowercase hexadecimal digits"))
    }
    self = grant
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(hexadecimal)
  }
}

/// Admits one contribution to a phase of a round of a task, from one path. Compared in constant time, and never logged.
package struct Ticket: Codable, Hashable, Sendable, CustomStringConvertible {
  package let text: String

  package init(_ text: String) { self.text = text }

  package static func == (left: Ticket, right: Ticket) -> Bool {
    let (a, b) = (Array(left.text.utf8), Array(right.text.utf8))
    guard a.count == b.count else { return false }
    return zip(a, b).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
  }

  package var description: String { "ticket:•••" }

  package init(from decoder: any Decoder) throws { text = try decoder.singleValueContainer().decode(String.self) }
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }
}

private func hmac(key: [UInt8], _ text: String) -> [UInt8] {
  Array(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: SymmetricKey(data: key)))
}
