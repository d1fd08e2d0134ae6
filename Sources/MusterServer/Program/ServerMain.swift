import Glibc
package import Logging
import MusterLog
import MusterSchema

/// An error in a server's command line.
struct UsageError: Error, Hashable, CustomStringConvertible {
  let description: String
}

/// The shared part of the servers' `main`: `--help`, `--version`, `config print`, logging to standard error, error lines and exit codes.
package struct ServerMain: Sendable {
  private let program: String
  private let defaultFile: String
  private let keys: String

  /// - Parameter keys: the description of the configuration keys for `--help`.
  package init(program: String, keys: String) {
    self.program = program
    defaultFile = "/etc/muster/\(program.split(separator: "-").last ?? "").yaml"
    self.keys = keys
  }

  /// Reads the configuration and runs the program, or prints the resulting configuration, and exits.
  ///
  /// Exit codes: 0 stopped in order, 1 failed, 2 wrong command line, 78 wrong configuration.
  package func run<Configuration: Sendable>(
    reading read: @Sendable (_ settings: ServerSettings, _ defaultState: String?) async throws -> Configuration,
    _ body: @Sendable (Configuration, _ logger: Logger) async throws -> Void
  ) async -> Never {
    let arguments = CommandLine.arguments
    if arguments.contains("--help") || arguments.contains("-h") {
      print(usage)
      exit(ExitStatus.success.rawValue)
    }
    if arguments.contains("--version") {
      print("\(program) \(Muster.version)")
      exit(ExitStatus.success.rawValue)
    }
    do {
      let (flags, prints) = try Self.split(arguments)
      let environment = environmentVariables()
      let settings = try await ServerSettings(arguments: flags, environment: environment, defaultFile: defaultFile)
      let state = defaultStateFolder(
        program: "\(program.split(separator: "-").last ?? "")", environment: environment, isRoot: geteuid() == 0)
      let level = try await level(settings)
      let configuration = try await read(settings, state)
      try settings.refuseUnknownKeys()
      if prints {
        print("# \(settings.file)\n\(settings.summary)")
        exit(ExitStatus.success.rawValue)
      }
      LoggingSystem.bootstrap { LineLogHandler(label: $0, level: level) }
      raiseFileLimit()
      try await body(configuration, Logger(label: program))
      exit(ExitStatus.success.rawValue)
    } catch let error as UsageError {
      complain(error)
      exit(ExitStatus.usage.rawValue)
    } catch let error as ConfigurationError {
      complain(error)
      exit(ExitStatus.configuration.rawValue)
    } catch {
      complain(error)
      exit(ExitStatus.unexpected.rawValue)
    }
  }

  /// Separates `config print`, which may be anywhere, from the flags and their values.
  ///
  /// - Returns: the program's name with its flags, and whether only the configuration is to be printed.
  static func split(_ arguments: [String]) throws(UsageError) -> (flags: [String], prints: Bool) {
    var (flags, words) = (Array(arguments.prefix(1)), [String]())
    var takesValue = false
    for argument in arguments.dropFirst() {
      let isFlag = argument.hasPrefix("--")
      if isFlag || takesValue { flags.append(argument) } else { words.append(argument) }
      takesValue = isFlag && !argument.contains("=")
    }
    guard words.isEmpty || words == ["config", "print"] else {
      throw UsageError(description: "unknown command \"\(words.joined(separator: " "))\"; the only command is \"config print\"")
    }
    return (flags, !words.isEmpty)
  }

  private func level(_ settings: ServerSettings) async throws -> Logger.Level {
    let text = try await settings.text("log.level", default: "info")
    guard let level = Logger.Level(rawValue: text) else {
      throw ConfigurationError(
        "log.level", "unknown level \"\(text)\"; known levels: \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return level
  }

  /// Raises the limit of open files to the hard limit. Each upload and download needs two, and the usual soft limit is 1024.
  private func raiseFileLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }

  private func complain(_ error: any Error) {
    let line = "\(program): \(error)\n"
    _ = line.withCString { write(2, $0, strlen($0)) }
  }

  private var usage: String {
    """
    \(program) [--config FILE] [--KEY VALUE …]
    \(program) config print          prints the resulting configuration, with secrets hidden

    Settings come from flags, MUSTER_* variables, the credentials folder ($CREDENTIALS_DIRECTORY), the YAML file
    (default \(defaultFile)) and the defaults; the first source that has a key wins. The key broker.host is the flag
    --broker-host and the variable MUSTER_BROKER_HOST.

    \(keys)
    """
  }

  private func environmentVariables() -> [String: String] {
    var variables: [String: String] = [:]
    var entry = environ
    while let text = entry.pointee {
      let pair = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if pair.count == 2 { variables[String(pair[0])] = String(pair[1]) }
      entry += 1
    }
    return variables
  }
}
