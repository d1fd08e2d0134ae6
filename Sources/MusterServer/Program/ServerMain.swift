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
  private let verbs: [Verb]

  /// A command that does something and exits, instead of running the server.
  package struct Verb: Sendable {
    let name: String
    /// Its arguments and purpose, for `--help`.
    let help: String
    let body: @Sendable (_ settings: ServerSettings, _ defaultState: String?, _ words: [String]) async throws -> Void

    /// - Parameter body: what the verb does. It gets the words after the verb, and the settings, of which it must read every flag that it
    ///   knows before it does anything.
    package init(
      _ name: String, help: String,
      _ body: @escaping @Sendable (_ settings: ServerSettings, _ defaultState: String?, _ words: [String]) async throws -> Void
    ) {
      self.name = name
      self.help = help
      self.body = body
    }
  }

  /// - Parameter keys: the description of the configuration keys for `--help`.
  package init(program: String, keys: String, verbs: [Verb] = []) {
    self.program = program
    self.verbs = verbs
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
      let (flags, words) = Self.split(arguments)
      let prints = words == ["config", "print"]
      let verb = verbs.first { $0.name == words.first }
      guard words.isEmpty || prints || verb != nil else {
        let known = (["config print"] + verbs.map(\.name)).map { "\"\($0)\"" }.joined(separator: ", ")
        throw UsageError(description: "unknown command \"\(words.joined(separator: " "))\"; known commands: \(known)")
      }
      let environment = environmentVariables()
      let settings = try await ServerSettings(arguments: flags, environment: environment, defaultFile: defaultFile)
      let state = defaultStateFolder(
        program: "\(program.split(separator: "-").last ?? "")", environment: environment, isRoot: geteuid() == 0)
      let level = try await level(settings)
      if let verb {
        try await verb.body(settings, state, Array(words.dropFirst()))
        exit(ExitStatus.success.rawValue)
      }
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

  /// Separates a command, which may be anywhere, from the flags and their values.
  ///
  /// - Returns: the program's name with its flags, and the other words.
  static func split(_ arguments: [String]) -> (flags: [String], words: [String]) {
    var (flags, words) = (Array(arguments.prefix(1)), [String]())
    var takesValue = false
    for argument in arguments.dropFirst() {
      let isFlag = argument.hasPrefix("--")
      if isFlag || takesValue { flags.append(argument) } else { words.append(argument) }
      takesValue = isFlag && !argument.contains("=")
    }
    return (flags, words)
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
    \(verbs.map { "\(program) \($0.help)\n" }.joined())
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
