import MusterGround
import MusterServer
import MusterTrainers

extension CentralConfiguration {
  /// Reads the keys of each trainer, `trainer.NAME.…`. They have the same meaning as in agent.json.
  ///
  /// The keys are `command` (a list; default for built-in: `muster-train --resident`), `resident` (default: whether the command contains
  /// `--resident`), `idleSeconds` (600), `timeoutSeconds` (3600; 0 turns it off), `graceSeconds` (5), `threads` (1), `environment` (a list
  /// of NAME=VALUE), `folder` (default: the configuration file's), `models` (a list) and `limits.*`, where 0 stands for no limit. Two
  /// defaults differ: `nice` is 0, because central waits for its trainers, and `freeMiB` is 1, because central notices a full disk itself
  /// and continues when there is space.
  static func trainers(_ settings: ServerSettings) async throws -> [String: TrainerProgram] {
    var trainers: [String: TrainerProgram] = [:]
    for name in try await settings.list("trainers") ?? ["built-in"] {
      trainers[name] = try await trainer("trainer.\(name)", name, settings)
    }
    return trainers
  }

  private static func trainer(_ key: String, _ name: String, _ settings: ServerSettings) async throws -> TrainerProgram {
    let command = try await settings.list("\(key).command")
    guard let command = command ?? (name == "built-in" ? ["muster-train", "--resident"] : nil), command.first?.isEmpty == false else {
      throw ConfigurationError("\(key).command", "is missing: it must list the program and its arguments")
    }
    var program = TrainerProgram(command: command)
    program.resident = try await settings.flag("\(key).resident", default: command.contains("--resident"))
    program.idleSeconds = Double(try await settings.number("\(key).idleSeconds", default: 600, in: 0...1_000_000))
    let timeout = try await settings.number("\(key).timeoutSeconds", default: 3600, in: 0...1_000_000)
    program.timeoutSeconds = timeout == 0 ? nil : Double(timeout)
    program.graceSeconds = Double(try await settings.number("\(key).graceSeconds", default: 5, in: 0...3600))
    program.threads = try await settings.number("\(key).threads", default: 1, in: 1...1024)
    program.environment = try await environment(key, settings)
    // Without a configuration file, its default folder need not exist, and a program cannot start in it.
    program.folder = Files.isThere(settings.folder) ? settings.folder : nil
    if let folder = try await settings.text("\(key).folder") {
      program.folder = folder.hasPrefix("/") ? folder : "\(settings.folder)/\(folder)"
    }
    program.models = try await settings.list("\(key).models")
    program.limits = try await limits(key, settings)
    return program
  }

  /// Reads `KEY.environment`, a list of NAME=VALUE.
  static func environment(_ key: String, _ settings: ServerSettings) async throws -> [String: String] {
    var environment: [String: String] = [:]
    for variable in try await settings.list("\(key).environment") ?? [] {
      let parts = variable.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw ConfigurationError("\(key).environment", "must be a list of NAME=VALUE, got \"\(variable)\"")
      }
      environment[String(parts[0])] = String(parts[1])
    }
    return environment
  }

  /// Reads `KEY.limits.*`.
  static func limits(_ key: String, _ settings: ServerSettings) async throws -> TrainerLimits {
    try await TrainerLimits(nice: 0, freeMiB: 1) { name, fallback, range in
      let value = try await settings.number("\(key).limits.\(name)", default: fallback, in: 0...range.upperBound)
      guard value == 0 || range.contains(value) else {
        throw ConfigurationError("\(key).limits.\(name)", "must be at least \(range.lowerBound), or 0 for no limit, got \(value)")
      }
      return value
    }
  }
}
