/// JSON that keeps the order of members and the spelling of numbers.
package enum OrderedJSON: Hashable, Sendable {
  case null
  case boolean(Bool)
  case number(String)
  case string(String)
  case array([OrderedJSON])
  case object([Member])

  package struct Member: Hashable, Sendable {
    package var name: String
    package var value: OrderedJSON
  }

  /// The value at a path of nested objects. Setting a member that does not exist does nothing.
  package subscript(path: [String]) -> OrderedJSON? {
    get {
      guard let name = path.first else { return self }
      guard case .object(let members) = self else { return nil }
      return members.first { $0.name == name }?.value[Array(path.dropFirst())]
    }
    set {
      guard let newValue else { return }
      guard let name = path.first else {
        self = newValue
        return
      }
      guard case .object(var members) = self, let index = members.firstIndex(where: { $0.name == name }) else { return }
      members[index].value[Array(path.dropFirst())] = newValue
      self = .object(members)
    }
  }

  package var json: String {
    switch self {
    case .null: "null"
    case .boolean(let value): value ? "true" : "false"
    case .number(let text): text
    case .string(let text): Self.quote(text)
    case .array(let items): "[" + items.map(\.json).joined(separator: ",") + "]"
    case .object(let members): "{" + members.map { "\(Self.quote($0.name)):\($0.value.json)" }.joined(separator: ",") + "}"
    }
  }

  /// The string in quotes, in a form that is valid in JSON and YAML.
  package static func quote(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "\n": quoted += "\\n"
      case "\r": quoted += "\\r"
      case "\t": quoted += "\\t"
      default:
        if scalar.value < 0x20 {
          let digits = String(scalar.value, radix: 16)
          quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        } else {
          quoted.unicodeScalars.append(scalar)
        }
      }
    }
    return quoted + "\""
  }
}
