import Configuration
import FoundationEssentials
import Glibc
package import MusterMQTT
package import MusterSchema
import Synchronization
import SystemPackage
import Yams

/// Why a server cannot start as it is configured.
package struct ConfigurationError: Error, CustomStringConvertible {
  package let key: String
  package let message: String

  package init(_ key: String, _ message: String) {
    self.key = key
    self.message = message
  }

  package var description: String { "configuration: \(key): \(message)" }
}

/// Where a server's settings come from: flags, `MUSTER_*`, the credentials folder of systemd, the YAML file, the default; the first that has a key
/// wins. `broker.host` is `--broker-host` and `MUSTER_BROKER_HOST`.
package struct ServerSettings: Sendable {
  private let reader: ConfigReader
  private let record = SettingsRecord()
  private let arguments: [String]
  package let file: String

  /// - Parameter defaultFile: read unless `--config` names another; that one must exist, the default need not.
  package init(arguments: [String], environment: [String: String], defaultFile: String) async throws {
    self.arguments = Array(arguments.dropFirst())
    let flags = CommandLineArgumentsProvider(arguments: arguments)
    let variables = EnvironmentVariablesProvider(environmentVariables: environment).prefixKeys(with: "muster")
    let named = ConfigReader(providers: [flags, variables]).string(forKey: "config")
    file = named ?? defaultFile
    var providers: [any ConfigProvider] = [flags, variables]
    if let folder = environment["CREDENTIALS_DIRECTORY"] {
      providers.append(try await DirectoryFilesProvider(directoryPath: FilePath(folder), allowMissing: true))
    }
    do {
      // The provider would say the same in Foundation's words.
      _ = try Data(contentsOf: URL(filePath: file))
    } catch let error as CocoaError where error.code == .fileReadNoSuchFile && named == nil {
      // The default file need not exist.
    } catch {
      throw ConfigurationError(file, "cannot be read: \(systemReason(error))")
    }
    do {
      providers.append(try await FileProvider<YAMLSnapshot>(filePath: FilePath(file), allowMissing: named == nil))
    } catch {
      let why = "\(error)".split(whereSeparator: \.isNewline).joined(separator: "; ")
      throw ConfigurationError(file, "is not a YAML file of settings: \(why)")
    }
    reader = ConfigReader(providers: providers)
  }

  /// The configuration file's folder, which relative paths in it start from.
  package var folder: String { file.contains("/") ? String(file[..<(file.lastIndex(of: "/") ?? file.startIndex)]) : "." }

  package func text(_ key: String, isSecret: Bool = false) async throws -> String? {
    do {
      let value = try await reader.fetchString(forKey: ConfigKey(key), isSecret: isSecret)
      record.note(key, isSecret && value != nil ? "•••" : value)
      return value
    } catch {
      throw ConfigurationError(key, "must be a text")
    }
  }

  package func text(_ key: String, default fallback: String) async throws -> String {
    let value = try await text(key)
    record.note(key, value, default: fallback)
    return value ?? fallback
  }

  package func required(_ key: String, _ why: String) async throws -> String {
    guard let value = try await text(key), !value.isEmpty else { throw ConfigurationError(key, "is missing: \(why)") }
    return value
  }

  /// A name, an IPv4 address, or an IPv6 address in either spelling.
  package func host(_ key: String, default fallback: String) async throws -> Host {
    do {
      return try Host(validating: try await text(key, default: fallback))
    } catch let error as AddressError {
      throw ConfigurationError(key, error.description)
    }
  }

  package func list(_ key: String) async throws -> [String]? {
    do {
      let value = try await reader.fetchStringArray(forKey: ConfigKey(key))
      record.note(key, value.map { "[\($0.joined(separator: ", "))]" })
      return value
    } catch {
      throw ConfigurationError(key, "must be a list of texts")
    }
  }

  package func flag(_ key: String, default fallback: Bool) async throws -> Bool {
    do {
      let value = try await reader.fetchBool(forKey: ConfigKey(key))
      record.note(key, value.map { "\($0)" }, default: "\(fallback)")
      return value ?? fallback
    } catch {
      throw ConfigurationError(key, "must be true or false")
    }
  }

  package func number(_ key: String, default fallback: Int, in range: ClosedRange<Int>) async throws -> Int {
    let value: Int
    do {
      let given = try await reader.fetchInt(forKey: ConfigKey(key))
      record.note(key, given.map { "\($0)" }, default: "\(fallback)")
      value = given ?? fallback
    } catch {
      throw ConfigurationError(key, "must be a whole number")
    }
    guard range.contains(value) else {
      throw ConfigurationError(key, "must be between \(range.lowerBound) and \(range.upperBound), got \(value)")
    }
    return value
  }
}

extension ServerSettings {
  /// Every key that the program asked for with what holds, secrets hidden: `config print`.
  package var summary: String { record.summary }

  /// A flag, or a key of the file, that the program never asked for is a mistake: it is named, with its neighbours.
  ///
  /// - Throws: `UsageError` for a flag, ``ConfigurationError`` for a key of the file.
  func refuseUnknownKeys() throws {
    let flags = Set(record.keys.map(Self.flag)).union(["--config"])
    for argument in arguments where argument.hasPrefix("--") {
      let name = String(argument.prefix { $0 != "=" })
      if !flags.contains(name) {
        throw UsageError(
          description: "there is no flag \(name.shown(60)).\(Suggestion.question(name, among: flags)) --help lists the keys")
      }
    }
    // A file that cannot be read was refused when the settings were made; one that need not be there has no keys.
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
      let neighbours = siblings.isEmpty ? "" : "; known here: \(siblings.joined(separator: ", "))"
      throw ConfigurationError(key, "there is no such key in \(file)\(neighbours).\(Suggestion.question(key, among: known))")
    }
  }

  /// `broker.keepAlive` is `--broker-keep-alive`.
  private static func flag(_ key: String) -> String {
    "--" + key.map { $0 == "." ? "-" : $0.isUppercase ? "-\($0.lowercased())" : "\($0)" }.joined()
  }

  private func flatten(_ node: Node, under path: String) -> [String] {
    guard let mapping = node.mapping else { return path.isEmpty ? [] : [path] }
    return mapping.flatMap { key, value in flatten(value, under: path.isEmpty ? key.string ?? "" : "\(path).\(key.string ?? "")") }
  }
}

/// The keys that a program asked for, and what they were answered.
private final class SettingsRecord: Sendable {
  private let values = Mutex<[String: String]>([:])

  func note(_ key: String, _ value: String?, default fallback: String = "") {
    values.withLock { $0[key] = value ?? (fallback.isEmpty ? "(not set)" : "\(fallback) (default)") }
  }

  var keys: Set<String> { values.withLock { Set($0.keys) } }
  var summary: String { values.withLock { $0.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: "\n") } }
}

/// Where a server listens, and what it calls that address to others.
package struct ListenerConfiguration: Sendable {
  package var host: String
  package var port: Int
  /// `http://host:port`, as others reach it.
  package var advertise: String
  /// Names by which callers may ask for it, beside its addresses and `localhost`.
  package var names: [Host] = []

  /// Keys: `NAME.host`, `NAME.port` (1–65535), `NAME.advertise` (default: the host and port); with `namesCallers` also `NAME.hosts`, a list of
  /// further names of this server.
  ///
  /// - Parameter namesCallers: whether the listener checks by which name it is asked for.
  package init(_ settings: ServerSettings, _ name: String, host: String, port: Int, namesCallers: Bool = false) async throws {
    self.host = try await settings.host("\(name).host", default: host).name
    self.port = try await settings.number("\(name).port", default: port, in: 1...65535)
    let reachable = self.host == "0.0.0.0" || self.host == "::" ? "127.0.0.1" : self.host
    var advertise = try await settings.text("\(name).advertise", default: "http://\(try Host(validating: reachable)):\(self.port)")
    while advertise.hasSuffix("/") { advertise.removeLast() }
    do {
      let address = try ServerAddress(base: advertise)
      self.advertise = address.description
      names = [address.host, try Host(validating: self.host)]
    } catch {
      throw ConfigurationError("\(name).advertise", error.description)
    }
    guard namesCallers else { return }
    if let machine = Host(ofThisMachine: ()) { names.append(machine) }
    for text in try await settings.list("\(name).hosts") ?? [] {
      do {
        names.append(try Host(validating: text))
      } catch {
        throw ConfigurationError("\(name).hosts", error.description)
      }
    }
  }
}

extension MQTTConfiguration {
  /// Keys: `NAME.host`, `NAME.port` (default 1883), `NAME.username`, `NAME.password` (a secret), `NAME.authorityFile` (a PEM file: TLS),
  /// `NAME.keepAlive` (seconds, default 30).
  package init(_ settings: ServerSettings, _ name: String, clientID: String) async throws {
    self.init(
      host: try await settings.host("\(name).host", default: "127.0.0.1").name,
      port: try await settings.number("\(name).port", default: 1883, in: 1...65535), clientID: clientID)
    username = try await settings.text("\(name).username")
    password = try await settings.text("\(name).password", isSecret: true)
    authorityFile = try await settings.text("\(name).authorityFile")
    keepAlive = .seconds(try await settings.number("\(name).keepAlive", default: 30, in: 5...3600))
  }
}

extension Host {
  /// This machine's name; nil when it has none that could be asked for.
  fileprivate init?(ofThisMachine: Void) {
    var buffer = [CChar](repeating: 0, count: 256)
    guard gethostname(&buffer, buffer.count - 1) == 0 else { return nil }
    let name = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    do { try self.init(validating: name) } catch { return nil }
  }
}

extension ListenerConfiguration {
  /// A word to the operator when others are told an address that only this machine reaches.
  package func warning(_ name: String) -> String? {
    let isLocal = ["//127.", "//localhost", "//[::1]"].contains { advertise.contains($0) }
    let listensToOthers = !host.hasPrefix("127.") && host != "localhost" && host != "::1"
    guard isLocal, listensToOthers else { return nil }
    return "others are told \(advertise), which only this machine reaches: set \(name).advertise"
  }
}

/// A client id that no second program shares: two programs with one identity then meet on their state topic, where it shows, instead of
/// throwing each other out of the broker.
package func clientID(_ role: String) -> String {
  "muster-\(role)-\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
}

/// The state folder of a program: `/var/lib/muster/{program}` for root, under `$XDG_STATE_HOME/muster` for an ordinary user.
/// Nil when there is no home folder.
package func defaultStateFolder(program: String, environment: [String: String], isRoot: Bool) -> String? {
  if isRoot { return "/var/lib/muster/\(program)" }
  return HomeFolder.state(environment: environment).map { "\($0)/muster/\(program)" }
}

extension ServerSettings {
  /// `state`: the program's folder. It has to be configured only where there is no default.
  package func state(default fallback: String?) async throws -> String {
    if let fallback { return try await text("state", default: fallback) }
    guard let folder = try await text("state"), !folder.isEmpty else { throw ConfigurationError("state", HomeFolder.missing) }
    return folder
  }

  /// A file that a setting names, relative to the configuration file; the error names both.
  package func read(_ key: String, _ path: String) throws(ConfigurationError) -> [UInt8] {
    let file = path.hasPrefix("/") ? path : "\(folder)/\(path)"
    do {
      return Array(try Data(contentsOf: URL(filePath: file)))
    } catch {
      throw ConfigurationError(key, "the file \(file) cannot be read: \(systemReason(error))")
    }
  }
}
