import FoundationEssentials
import MusterSchema
import Synchronization
import Yams

extension ServerSettings {
  /// The resulting configuration for `config print`: every key that the program read, with its value, secrets hidden.
  package var summary: String { record.summary }

  /// Refuses flags and keys of the file that the program never read. The error suggests similar keys and lists those of the same group.
  ///
  /// - Throws: `UsageError` for a flag, ``ConfigurationError`` for a key of the file.
  func refuseUnknownKeys() throws {
    try refuseUnknownFlags()
    try refuseUnknownFileKeys()
  }

  /// Refuses flags that the program never read.
  ///
  /// - Throws: `UsageError`.
  package func refuseUnknownFlags() throws {
    let flags = Set(record.keys.map(Self.flag)).union(["--config"])
    for argument in arguments where argument.hasPrefix("--") {
      let name = String(argument.prefix { $0 != "=" })
      if !flags.contains(name) {
        throw UsageError(
          description: "unknown flag \(name.shown(60)).\(Suggestion.question(name, among: flags)) --help lists the keys")
      }
    }
  }

  private func refuseUnknownFileKeys() throws {
    // A file that cannot be read was refused when the settings were created. A missing default file has no keys.
    guard let text = try? String(contentsOf: URL(filePath: file), encoding: .utf8) else { return }
    let root: Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch {
      throw ConfigurationError(file, "is not YAML: \(error)")
    }
    let known = record.keys
    for key in root.map({ flatten($0, under: "") }) ?? [] where !known.contains(key) {
      let siblings = known.filter { $0.split(separator: ".").dropLast() == key.split(separator: ".").dropLast() }.sorted()
      let neighbours = siblings.isEmpty ? "" : "; known keys here: \(siblings.joined(separator: ", "))"
      throw ConfigurationError(key, "unknown key in \(file)\(neighbours).\(Suggestion.question(key, among: known))")
    }
  }

  /// The flag of a key: `broker.keepAlive` is `--broker-keep-alive`.
  private static func flag(_ key: String) -> String {
    "--" + key.map { $0 == "." ? "-" : $0.isUppercase ? "-\($0.lowercased())" : "\($0)" }.joined()
  }

  private func flatten(_ node: Node, under path: String) -> [String] {
    guard let mapping = node.mapping else { return path.isEmpty ? [] : [path] }
    return mapping.flatMap { key, value in flatten(value, under: path.isEmpty ? key.string ?? "" : "\(path).\(key.string ?? "")") }
  }
}

/// The keys that a program has read, with their values.
final class SettingsRecord: Sendable {
  private let values = Mutex<[String: String]>([:])

  func note(_ key: String, _ value: String?, default fallback: String = "") {
    values.withLock { $0[key] = value ?? (fallback.isEmpty ? "(not set)" : "\(fallback) (default)") }
  }

  var keys: Set<String> { values.withLock { Set($0.keys) } }
  var summary: String { values.withLock { $0.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: "\n") } }
}
