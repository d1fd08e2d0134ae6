package import MusterAggregation
package import MusterSchema
package import MusterServer
package import MusterTrainers

/// The configuration of central, validated when it is read.
package struct CentralConfiguration: Sendable {
  package var server: ServerConfiguration
  /// The regions that may be invited. Other regions are listed, but never invited.
  package var regions: [NodeID]
  package var trainers: [String: TrainerProgram]
  /// The trainers' data configuration for central's own test set, as JSON.
  package var testData: JSONValue?
  /// The rules that a task's strategy may name: the built-in ones, and the programs that this configuration allows.
  package var rules: Rules

  /// Reads the keys of ``ServerConfiguration`` (default ports 7400 and 7401) and these: `regions` (a list of ids), `trainers` (a list of
  /// names, default `built-in`), `trainer.NAME.*` (`CentralConfiguration+Trainers.swift`), `testData` (path of a JSON file that describes
  /// central's own test set; without it, central does not evaluate), `rules` (names of programs that tasks may use as combiner, see
  /// docs/aggregation.md), `rule.NAME.command` (a list), `rule.NAME.timeoutSeconds` (default 600), `rule.NAME.environment` and
  /// `rule.NAME.limits.*`.
  package init(_ settings: ServerSettings, defaultState: String?) async throws {
    server = try await ServerConfiguration(settings, id: .central, state: defaultState, dataPort: 7400, opsPort: 7401)
    var regions: [NodeID] = []
    for name in try await settings.list("regions") ?? [] {
      do {
        let region = try NodeID(validating: name)
        guard region != .central else {
          throw ConfigurationError("regions", "must not contain \"central\", which is the root coordinator's id")
        }
        regions.append(region)
      } catch let error as IdentifierError {
        throw ConfigurationError("regions", error.description)
      }
    }
    if server.identity != nil {
      guard regions.isEmpty else {
        throw ConfigurationError("regions", "must be absent in a fleet with identities: regions are those that enrolled")
      }
    } else if regions.isEmpty {
      throw ConfigurationError("regions", "is missing: the ids of the regions that central may invite")
    }
    self.regions = regions
    trainers = try await Self.trainers(settings)
    rules = try await Self.rules(settings, folder: server.state)
    testData = nil
    if let path = try await settings.text("testData") {
      let bytes = try settings.read("testData", path)
      do {
        try JSON.requireDistinctNames(bytes)
        testData = try JSON.decode(JSONValue.self, from: bytes)
      } catch {
        throw ConfigurationError("testData", "\(path) is not valid JSON: \(JSON.explain(error, in: bytes))")
      }
    }
  }

  private static func rules(_ settings: ServerSettings, folder: String) async throws -> Rules {
    var rules = Rules()
    for name in try await settings.list("rules") ?? [] {
      guard let command = try await settings.list("rule.\(name).command"), !command.isEmpty else {
        throw ConfigurationError("rule.\(name).command", "is missing: it must list the program and its arguments")
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
  /// The description of the keys for `--help`.
  package static let help =
    ServerConfiguration.help(state: "/var/lib/muster/central", dataPort: 7400, opsPort: 7401) + """
      regions                 ids of the regions that may be invited
      trainers                names of the trainers for initializing and evaluating (default built-in)
      trainer.NAME.command    program and arguments (built-in: muster-train --resident)
      trainer.NAME.resident, .idleSeconds, .timeoutSeconds, .graceSeconds, .threads, .environment, .folder, .models, .limits.*
                              as in a device's agent.json (docs/agent-configuration.md)
      rules                   names of programs that a task may use as its combiner
      rule.NAME.command       program and arguments; the folder with the updates is appended
      rule.NAME.timeoutSeconds    (default 600)
      rule.NAME.environment, .limits.*    as a trainer's
      testData                a JSON file that describes central's own test set; without it, central does not evaluate

      """
}
