package import MusterAggregation
package import MusterMQTT
package import MusterSchema
package import MusterServer
package import MusterTrainers

/// Everything that central is told when it starts. Validated once.
package struct CentralConfiguration: Sendable {
  package var state: String
  package var broker: MQTTConfiguration
  package var data: ListenerConfiguration
  package var ops: ListenerConfiguration
  /// The regions that may be invited; others are listed as unknown.
  package var regions: [NodeID]
  package var trainers: [String: TrainerProgram]
  /// The trainers' data configuration for central's own test set, JSON.
  package var testData: JSONValue?
  /// What a task's strategy may name: ours, and the programs that this configuration allows.
  package var rules: Rules
  /// Bytes of one contribution.
  package var maximumBytes: Int
  /// What the data listener takes at most.
  package var limits: DataPlaneLimits

  /// Keys: `state` (a folder), `broker.*`, `data.*` (default 0.0.0.0:7400), `ops.*` (default 127.0.0.1:7401), `regions` (a list of ids),
  /// `trainers` (a list of names, default `built-in`), `trainer.NAME.*` (see `CentralConfiguration+Trainers.swift`), `testData` (path of a JSON
  /// file: where central's own test set lies; without it, central does not evaluate), `maximumMiB` (of one contribution, default 1024), `data.limits.*` (see
  /// ``DataPlaneLimits``), `rules` (names of programs that tasks may have as combiner, see docs/aggregation.md), `rule.NAME.command` (a list),
  /// `rule.NAME.timeoutSeconds` (default 600), `log.level`.
  package init(_ settings: ServerSettings, defaultState: String?) async throws {
    state = try await settings.state(default: defaultState)
    broker = try await MQTTConfiguration(settings, "broker", clientID: clientID("central"))
    data = try await ListenerConfiguration(settings, "data", host: "0.0.0.0", port: 7400)
    ops = try await ListenerConfiguration(settings, "ops", host: "127.0.0.1", port: 7401, namesCallers: true)
    var regions: [NodeID] = []
    for name in try await settings.list("regions") ?? [] {
      do {
        let region = try NodeID(validating: name)
        guard region != .central else { throw ConfigurationError("regions", "\"central\" is reserved") }
        regions.append(region)
      } catch let error as IdentifierError {
        throw ConfigurationError("regions", error.description)
      }
    }
    guard !regions.isEmpty else { throw ConfigurationError("regions", "is missing: the ids of the regions that central may invite") }
    self.regions = regions
    trainers = try await Self.trainers(settings)
    rules = try await Self.rules(settings, folder: state)
    testData = nil
    if let path = try await settings.text("testData") {
      let bytes = try settings.read("testData", path)
      do {
        try JSON.requireDistinctNames(bytes)
        testData = try JSON.decode(JSONValue.self, from: bytes)
      } catch {
        throw ConfigurationError("testData", "\(path) is not JSON: \(JSON.explain(error, in: bytes))")
      }
    }
    maximumBytes = try await settings.number("maximumMiB", default: 1024, in: 1...65536) << 20
    limits = try await DataPlaneLimits { try await settings.number($0, default: $1, in: $2) }
  }

  private static func rules(_ settings: ServerSettings, folder: String) async throws -> Rules {
    var rules = Rules()
    for name in try await settings.list("rules") ?? [] {
      guard let command = try await settings.list("rule.\(name).command"), !command.isEmpty else {
        throw ConfigurationError("rule.\(name).command", "is missing: the program and its arguments")
      }
      let seconds = try await settings.number("rule.\(name).timeoutSeconds", default: 600, in: 1...1_000_000)
      let limits = try await limits("rule.\(name)", settings)
      let confinement = ExternalRule.Confinement(
        launcher: TrainerLaunch.prefix(limits), environment: try await environment("rule.\(name)", settings),
        outputMiB: limits.outputMiB, diskMiB: limits.diskMiB, freeMiB: limits.freeMiB)
      rules.add(
        external: name, command: command, folder: "\(folder)/work", timeout: .seconds(seconds), confinement: confinement)
    }
    return rules
  }
}

extension CentralConfiguration {
  /// The keys, for `--help`.
  package static let help = """
    state                   folder for journal and models (default /var/lib/muster/central)
    broker.host, .port, .username, .password, .authorityFile, .keepAlive
    data.host, .port        where devices and regions reach it (default 0.0.0.0:7400)
    data.advertise          that address as others reach it: http://host:7400
    ops.host, .port, .advertise    for operators (default 127.0.0.1:7401)
    ops.hosts               further names by which operators ask for it
    regions                 ids of the regions that may be invited
    trainers                names of the trainers for initializing and evaluating (default built-in)
    trainer.NAME.command    program and arguments (built-in: muster-train --resident)
    trainer.NAME.resident, .idleSeconds, .timeoutSeconds, .graceSeconds, .threads, .environment, .folder, .models, .limits.*
                            as in a device's agent.json (docs/agent-configuration.md)
    rules                   names of programs that a task may have as its combiner
    rule.NAME.command       program and arguments; the folder with the updates is appended
    rule.NAME.timeoutSeconds    (default 600)
    rule.NAME.environment, .limits.*    as a trainer's
    testData                a JSON file: where central's own test set lies; without it central does not evaluate
    maximumMiB              of one contribution (default 1024)
    log.level               trace, debug, info, notice, warning, error

    """ + DataPlaneLimits.help
}
