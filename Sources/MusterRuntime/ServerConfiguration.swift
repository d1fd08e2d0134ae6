import Configuration
import FoundationEssentials
package import MusterMQTT
import SystemPackage

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
  package let file: String

  /// - Parameter defaultFile: read unless `--config` names another; that one must exist, the default need not.
  package init(arguments: [String], environment: [String: String], defaultFile: String) async throws {
    let flags = CommandLineArgumentsProvider(arguments: arguments)
    let variables = EnvironmentVariablesProvider(environmentVariables: environment).prefixKeys(with: "muster")
    let named = ConfigReader(providers: [flags, variables]).string(forKey: "config")
    file = named ?? defaultFile
    var providers: [any ConfigProvider] = [flags, variables]
    if let folder = environment["CREDENTIALS_DIRECTORY"] {
      providers.append(try await DirectoryFilesProvider(directoryPath: FilePath(folder), allowMissing: true))
    }
    do {
      providers.append(try await FileProvider<YAMLSnapshot>(filePath: FilePath(file), allowMissing: named == nil))
    } catch {
      throw ConfigurationError(file, "cannot be read: \(error)")
    }
    reader = ConfigReader(providers: providers)
  }

  /// The configuration file's folder, which relative paths in it start from.
  package var folder: String { file.contains("/") ? String(file[..<(file.lastIndex(of: "/") ?? file.startIndex)]) : "." }

  package func text(_ key: String, isSecret: Bool = false) async throws -> String? {
    do {
      return try await reader.fetchString(forKey: ConfigKey(key), isSecret: isSecret)
    } catch {
      throw ConfigurationError(key, "must be a text")
    }
  }

  package func required(_ key: String, _ why: String) async throws -> String {
    guard let value = try await text(key), !value.isEmpty else { throw ConfigurationError(key, "is missing: \(why)") }
    return value
  }

  package func list(_ key: String) async throws -> [String]? {
    do {
      return try await reader.fetchStringArray(forKey: ConfigKey(key))
    } catch {
      throw ConfigurationError(key, "must be a list of texts")
    }
  }

  package func flag(_ key: String, default fallback: Bool) async throws -> Bool {
    do {
      return try await reader.fetchBool(forKey: ConfigKey(key)) ?? fallback
    } catch {
      throw ConfigurationError(key, "must be true or false")
    }
  }

  package func number(_ key: String, default fallback: Int, in range: ClosedRange<Int>) async throws -> Int {
    let value: Int
    do {
      value = try await reader.fetchInt(forKey: ConfigKey(key)) ?? fallback
    } catch {
      throw ConfigurationError(key, "must be a whole number")
    }
    guard range.contains(value) else {
      throw ConfigurationError(key, "must be between \(range.lowerBound) and \(range.upperBound), got \(value)")
    }
    return value
  }
}

/// Where a server listens, and what it calls that address to others.
package struct ListenerConfiguration: Sendable {
  package var host: String
  package var port: Int
  /// `http://host:port`, as others reach it.
  package var advertise: String

  /// Keys: `NAME.host`, `NAME.port` (1–65535), `NAME.advertise` (default: the host and port).
  package init(_ settings: ServerSettings, _ name: String, host: String, port: Int) async throws {
    self.host = try await settings.text("\(name).host") ?? host
    self.port = try await settings.number("\(name).port", default: port, in: 1...65535)
    let address = self.host == "0.0.0.0" || self.host == "::" ? "127.0.0.1" : self.host
    var advertise = try await settings.text("\(name).advertise") ?? "http://\(address):\(self.port)"
    while advertise.hasSuffix("/") { advertise.removeLast() }
    guard advertise.hasPrefix("http://") || advertise.hasPrefix("https://") else {
      throw ConfigurationError("\(name).advertise", "must start with http:// or https://, got \"\(advertise)\"")
    }
    self.advertise = advertise
  }
}

extension MQTTConfiguration {
  /// Keys: `NAME.host`, `NAME.port` (default 1883), `NAME.username`, `NAME.password` (a secret), `NAME.ca` (a PEM file: TLS),
  /// `NAME.keepAlive` (seconds, default 30).
  package init(_ settings: ServerSettings, _ name: String, clientID: String) async throws {
    self.init(
      host: try await settings.text("\(name).host") ?? "127.0.0.1",
      port: try await settings.number("\(name).port", default: 1883, in: 1...65535), clientID: clientID)
    username = try await settings.text("\(name).username")
    password = try await settings.text("\(name).password", isSecret: true)
    authorityFile = try await settings.text("\(name).ca")
    keepAlive = .seconds(try await settings.number("\(name).keepAlive", default: 30, in: 5...3600))
  }
}

/// The state folder of a program: `/var/lib/muster/{program}` for root, under `$XDG_STATE_HOME/muster` for an ordinary user.
package func defaultStateFolder(program: String, environment: [String: String], isRoot: Bool) -> String {
  if isRoot { return "/var/lib/muster/\(program)" }
  let base = environment["XDG_STATE_HOME"] ?? "\(environment["HOME"] ?? ".")/.local/state"
  return "\(base)/muster/\(program)"
}

extension ServerSettings {
  /// A file that a setting names, relative to the configuration file; the error names both.
  package func read(_ key: String, _ path: String) throws(ConfigurationError) -> [UInt8] {
    let file = path.hasPrefix("/") ? path : "\(folder)/\(path)"
    do {
      return Array(try Data(contentsOf: URL(filePath: file)))
    } catch {
      throw ConfigurationError(key, "the file \(file) cannot be read: \(error)")
    }
  }
}
