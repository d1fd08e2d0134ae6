import MusterGround
import MusterSchema
import MusterTrainers

/// The reason why the agent cannot start with its configuration. Names the key and the origin of its value.
package struct AgentConfigurationError: Error, Hashable, CustomStringConvertible {
  package let key: String
  /// A file, an environment variable or a flag; `nil` when no source has the value.
  package let origin: String?
  package let message: String

  package init(_ key: String, in origin: String? = nil, _ message: String) {
    self.key = key
    self.origin = origin
    self.message = message
  }

  package var description: String {
    let place = origin.map { " (\($0))" } ?? ""
    return key.isEmpty ? "configuration\(place): \(message)" : "configuration: \(key)\(place): \(message)"
  }
}

/// Values by key, each with its origin. The first source that has a key wins: flags, then `MUSTER_*`, then `agent.json`.
///
/// The variable of `policy.maxLoad` is `MUSTER_POLICY_MAX_LOAD`. A key of the file that no part of the agent reads is refused as a mistake.
struct AgentSettings {
  typealias Value = (value: JSONValue, origin: String)

  private let layers: [[String: Value]]
  private let environment: [String: String]
  private let file: String
  private var known: Set<String> = []
  /// Objects of the file that are empty.
  private let emptyGroups: [String]
  private(set) var used: [(key: String, value: JSONValue, origin: String, isSecret: Bool)] = []

  /// - Parameters:
  ///   - flags: the command line flags, by key.
  ///   - file: the configuration file's path, for messages.
  ///   - content: the parsed content of that file.
  init(flags: [String: (flag: String, value: String)], environment: [String: String], file: String, content: [String: JSONValue]) {
    self.file = file
    self.environment = environment
    var flat: [String: Value] = [:]
    var empty: [String] = []
    func flatten(_ object: [String: JSONValue], _ prefix: String) {
      for (name, value) in object {
        let key = prefix + name
        if case .object(let inner) = value, !Self.whole.contains(key) {
          flatten(inner, "\(key).")
          if inner.isEmpty { empty.append(key) }
        } else {
          flat[key] = (value, file)
        }
      }
    }
    flatten(content, "")
    emptyGroups = empty.sorted()
    layers = [flags.mapValues { (.string($0.value), $0.flag) }, flat]
  }

  /// The configuration file's folder, from which relative paths start; `nil` when the file does not exist.
  var folder: String? {
    guard Files.exists(file) else { return nil }
    let absolute = file.hasPrefix("/") ? file : "\(Files.currentFolder)/\(file)"
    return String(absolute[..<(absolute.lastIndex(of: "/") ?? absolute.startIndex)])
  }

  /// Objects that are read as a whole, because the owner chooses the names of their members.
  private static let whole: Set<String> = ["labels", "trainers", "data"]

  static func variable(_ key: String) -> String {
    var name = "MUSTER_"
    for character in key {
      if character == "." {
        name += "_"
      } else {
        if character.isUppercase { name += "_" }
        name += character.uppercased()
      }
    }
    return name
  }

  mutating func value(_ key: String, secret: Bool = false) -> Value? {
    known.insert(key)
    let variable = Self.variable(key)
    let found =
      layers[0][key] ?? environment[variable].map { (.string($0), variable) } ?? layers[1][key].flatMap { $0.value == .null ? nil : $0 }
    if let found { used.append((key, found.value, found.origin, secret)) }
    return found
  }

  /// Records that a key has its default value, for `config print`.
  mutating func useDefault(_ key: String, _ value: JSONValue) { used.append((key, value, "default", false)) }

  mutating func text(_ key: String, secret: Bool = false) throws(AgentConfigurationError) -> String? {
    guard let (value, origin) = value(key, secret: secret) else { return nil }
    guard case .string(let text) = value, !text.isEmpty else {
      throw AgentConfigurationError(key, in: origin, "must be a non-empty string")
    }
    return text
  }

  mutating func text(_ key: String, else fallback: String) throws(AgentConfigurationError) -> String {
    if let text = try text(key) { return text }
    useDefault(key, .string(fallback))
    return fallback
  }

  /// A path. A relative path from the file starts from the file's folder.
  mutating func path(_ key: String, else fallback: String? = nil) throws(AgentConfigurationError) -> String? {
    guard let text = try text(key) else {
      if let fallback { useDefault(key, .string(fallback)) }
      return fallback
    }
    guard !text.hasPrefix("/"), used.last?.origin == file, let folder else { return text }
    return "\(folder)/\(text)"
  }

  mutating func number(_ key: String, in range: ClosedRange<Double>) throws(AgentConfigurationError) -> Double? {
    guard let (value, origin) = value(key) else { return nil }
    let number: Double? =
      switch value {
      case .integer(let value): Double(value)
      case .number(let value): value
      case .string(let text) where origin != file: Double(text)
      default: nil
      }
    guard let number, range.contains(number) else {
      let shown = value.scalar.map { ", not \($0.prefix(40).description.withoutControlCharacters)" } ?? ""
      throw AgentConfigurationError(
        key, in: origin, "must be a number from \(short(range.lowerBound)) to \(short(range.upperBound))\(shown)")
    }
    return number
  }

  mutating func integer(_ key: String, in range: ClosedRange<Int>) throws(AgentConfigurationError) -> Int? {
    guard let number = try number(key, in: Double(range.lowerBound)...Double(range.upperBound)) else { return nil }
    guard number == number.rounded() else { throw AgentConfigurationError(key, in: used.last?.origin, "must be a whole number") }
    return Int(number)
  }

  mutating func integer(_ key: String, in range: ClosedRange<Int>, else fallback: Int) throws(AgentConfigurationError) -> Int {
    if let integer = try integer(key, in: range) { return integer }
    useDefault(key, .integer(Int64(fallback)))
    return fallback
  }

  /// - Parameter enrolled: the value of the device's identity. A setting must not differ from it.
  mutating func identifier<I: Identifier>(_ key: String, flag: String, enrolled: I? = nil) throws(AgentConfigurationError) -> I {
    guard let text = try text(key) else {
      if let enrolled {
        used.append((key, .string("\(enrolled)"), "identity", false))
        return enrolled
      }
      throw AgentConfigurationError(key, "is missing; set it in \(file), with the variable \(Self.variable(key)) or with \(flag)")
    }
    let value: I
    do {
      value = try I(validating: text)
    } catch {
      throw AgentConfigurationError(key, in: used.last?.origin, error.description)
    }
    guard enrolled == nil || value == enrolled else {
      throw AgentConfigurationError(
        key, in: used.last?.origin, "is \(value), but this device enrolled as \(enrolled.map { "\($0)" } ?? ""): remove the setting")
    }
    return value
  }

  /// A list of strings. In an environment variable or a flag, commas separate them.
  mutating func texts(_ key: String) throws(AgentConfigurationError) -> [String]? {
    guard let (value, origin) = value(key) else { return nil }
    if case .string(let text) = value, origin != file { return text.split(separator: ",").map { String($0) } }
    guard case .array(let values) = value else { throw AgentConfigurationError(key, in: origin, "must be a list of non-empty strings") }
    var texts: [String] = []
    for value in values {
      guard case .string(let text) = value, !text.isEmpty else {
        throw AgentConfigurationError(key, in: origin, "must be a list of non-empty strings")
      }
      texts.append(text)
    }
    return texts
  }

  mutating func object(_ key: String) throws(AgentConfigurationError) -> [String: JSONValue]? {
    guard let (value, origin) = value(key) else { return nil }
    if case .object(let object) = value { return object }
    if case .string(let text) = value, origin != file {
      do {
        return try JSON.decode([String: JSONValue].self, from: text.utf8)
      } catch {
        throw AgentConfigurationError(key, in: origin, "must be a JSON object: \(JSON.explain(error, in: text.utf8))")
      }
    }
    throw AgentConfigurationError(key, in: origin, "must be an object")
  }

  var lastOrigin: String? { used.last?.origin }

  /// Refuses keys of the file that were not read.
  func checkUnknown() throws(AgentConfigurationError) {
    // An empty group such as `"policy": {}` is fine if some known key belongs to the group.
    let strays = emptyGroups.filter { group in !known.contains { $0.hasPrefix("\(group).") } }
    for key in (layers[1].keys.filter { !known.contains($0) } + strays).sorted() {
      throw AgentConfigurationError(key, in: file, "unknown key; known keys here: \(known.sorted().joined(separator: ", "))")
    }
  }
}

private func short(_ value: Double) -> String { value == value.rounded() ? "\(Int(value))" : "\(value)" }

extension JSONValue {
  /// A scalar as it would be written in the environment; `nil` for a list, an object or null.
  var scalar: String? {
    switch self {
    case .bool(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .unsigned(let value): "\(value)"
    case .number(let value): "\(value)"
    case .string(let value): value
    case .null, .array, .object: nil
    }
  }
}
