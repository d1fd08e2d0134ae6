/// The id of a node or a coordinator: `north`, `pi-1`, `central`.
package struct NodeID: Identifier {
  package static var noun: String { "node id" }
  package let rawValue: String
  package init(unchecked rawValue: String) { self.rawValue = rawValue }

  /// The root coordinator's id, which no other node may have.
  package static let central = NodeID(unchecked: "central")
}

extension NodeID {
  /// The id that a host name suggests: its first label, with other characters replaced by `-`. `nil` if nothing is left.
  package init?(host: String) {
    let label = host.prefix { $0 != "." }.lowercased()
    let letters = label.unicodeScalars.map { scalar -> Character in
      (scalar >= "a" && scalar <= "z") || (scalar >= "0" && scalar <= "9") ? Character(scalar) : "-"
    }
    let name = String(letters.drop { $0 == "-" }.prefix(63))
    self.init(rawValue: name)
  }
}
