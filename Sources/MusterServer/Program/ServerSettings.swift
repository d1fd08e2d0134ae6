import Configuration
import FoundationEssentials
package import MusterSchema
import SystemPackage

/// An error in a server's configuration that prevents its start.
package struct ConfigurationError: Error, CustomStringConvertible {
  package let key: String
  package let message: String

  package init(_ key: String, _ message: String) {
    self.key = key
    self.message = message
  }

  package var description: String { "configuration: \(key): \(message)" }
}

/// The settings of a server.
///
/// Sources are flags, `MUSTER_*` variables, the credentials folder of systemd, the YAML file and the defaults; the first source that has a
/// key wins. The key `broker.host` is the flag `--broker-host` and the variable `MUSTER_BROKER_HOST`.
package struct ServerSettings: Sendable {
  private let reader: ConfigReader
  let record = SettingsRecord()
  let arguments: [String]
  package let file: String

  /// - Parameter defaultFile: the file that is read without `--config`. It need not exist, unlike a file that `--config` names.
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
      // Read here first, because the provider would report an error in Foundation's words.
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

  /// The configuration file's folder, the base of relative paths in it.
  package var folder: String { file.contains("/") ? String(file[..<(file.lastIndex(of: "/") ?? file.startIndex)]) : "." }

  package func text(_ key: String, isSecret: Bool = false) async throws -> String? {
    do {
      let value = try await reader.fetchString(forKey: ConfigKey(key), isSecret: isSecret)
      record.note(key, isSecret && value != nil ? "•••" : value)
      return value
    } catch {
      throw ConfigurationError(key, "must be a string")
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

  /// Reads a name, an IPv4 address, or an IPv6 address with or without brackets.
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
      throw ConfigurationError(key, "must be a list of strings")
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
  /// Reads `state`, the program's folder. The key is required only if there is no default.
  package func state(default fallback: String?) async throws -> String {
    if let fallback { return try await text("state", default: fallback) }
    guard let folder = try await text("state"), !folder.isEmpty else { throw ConfigurationError("state", HomeFolder.missing) }
    return folder
  }

  /// Reads a file that a setting names, relative to the configuration file. An error names the key and the file.
  package func read(_ key: String, _ path: String) throws(ConfigurationError) -> [UInt8] {
    let file = path.hasPrefix("/") ? path : "\(folder)/\(path)"
    do {
      return Array(try Data(contentsOf: URL(filePath: file)))
    } catch {
      throw ConfigurationError(key, "the file \(file) cannot be read: \(systemReason(error))")
    }
  }
}

/// The default state folder: `/var/lib/muster/{program}` for root, under `$XDG_STATE_HOME/muster` for other users.
///
/// - Returns: `nil` if there is no home folder.
package func defaultStateFolder(program: String, environment: [String: String], isRoot: Bool) -> String? {
  if isRoot { return "/var/lib/muster/\(program)" }
  return HomeFolder.state(environment: environment).map { "\($0)/muster/\(program)" }
}
