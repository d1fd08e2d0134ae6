import ArgumentParser
import Logging
import MusterAgent
import MusterLog

/// The command `muster-agent`, which runs the agent or shows its configuration.
///
/// Exit codes: 0 stopped as asked, 1 cannot run (state folder, broker settings), 64 wrong flags, 78 wrong configuration.
@main
struct MusterAgentCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "muster-agent", abstract: "Run Muster's agent for a device, which trains with data that stays on the device.",
    discussion: "Runs until SIGTERM or SIGINT. All other settings are in the configuration file, see docs/agent-configuration.md.",
    version: MusterAgentVersion.text, subcommands: [Run.self, Enroll.self, Config.self, ExecTrainer.self])

  @OptionGroup var flags: Flags

  static func main() async { await main(ConfigVerb.first(Array(CommandLine.arguments.dropFirst()))) }

  func run() async throws { try await flags.runAgent() }
}

/// Makes `muster-agent --config FILE config print` mean the same as `muster-agent config print --config FILE`.
enum ConfigVerb {
  /// Moves `config print` in front of the flags before it. Each of the agent's flags takes a value.
  static func first(_ arguments: [String]) -> [String] {
    var index = 0
    while index < arguments.count, arguments[index].hasPrefix("--"), arguments[index] != "--" {
      index += arguments[index].contains("=") ? 1 : 2
    }
    guard index > 0, index + 1 < arguments.count, arguments[index...index + 1] == ["config", "print"] else { return arguments }
    return ["config", "print"] + arguments[..<index] + arguments[(index + 2)...]
  }
}

/// The flags of the command line. Each wins over MUSTER_* and the configuration file.
struct Flags: ParsableArguments {
  @Option(help: "The configuration file (default: MUSTER_CONFIG, otherwise /etc/muster/agent.json).")
  var config: String?
  @Option(help: "The device's name in its region.")
  var id: String?
  @Option(help: "The region that the device belongs to.")
  var region: String?
  @Option(help: ArgumentHelp("The region's broker.", valueName: "host:port"))
  var broker: String?
  @Option(help: "The folder for the journal, models and jobs.")
  var state: String?
  @Option(help: "The log level: trace, debug, info, notice, warning, error or critical.")
  var logLevel: String?

  func load() throws -> (configuration: AgentConfiguration, report: String) {
    let given = [
      ("id", "--id", id), ("region", "--region", region), ("broker", "--broker", broker), ("state", "--state", state),
      ("log.level", "--log-level", logLevel),
    ]
    var flags: AgentFlags = [:]
    for case (let key, let flag, let value?) in given { flags[key] = (flag, value) }
    do {
      return try AgentConfiguration.load(file: config, flags: flags, environment: AgentConfiguration.environment)
    } catch {
      StandardError.write("muster-agent: \(error)")
      throw ExitCode(78)
    }
  }
}

struct Run: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Run the agent until SIGTERM or SIGINT.", shouldDisplay: false)

  @OptionGroup var flags: Flags

  func run() async throws { try await flags.runAgent() }
}

extension Flags {
  func runAgent() async throws {
    let (configuration, _) = try load()
    let logger = Logger(label: "muster.agent") { LineLogHandler(label: $0, level: configuration.logLevel) }
    let agent = Agent(configuration, launcher: ["/proc/self/exe", "exec-trainer"], logger: logger)
    do {
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await agent.run() }
        group.addTask { try await StopSignals.wait() }
        try await group.next()
        group.cancelAll()
        try await group.waitForAll()
      }
    } catch {
      logger.critical("\(error)")
      throw ExitCode(1)
    }
  }
}

struct Config: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Show the configuration.", subcommands: [Print.self])

  struct Print: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the resulting configuration with the origin of each value. Secrets are hidden.")

    @OptionGroup var flags: Flags

    func run() throws { print(try flags.load().report) }
  }
}
