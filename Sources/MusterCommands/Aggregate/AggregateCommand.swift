import ArgumentParser
import FoundationEssentials
import MusterAggregation
import MusterSchema
import MusterTaskFiles
import MusterTensors
import MusterTrainers

/// `muster aggregate`: performs the aggregation at the end of a round on files, without central.
struct AggregateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "aggregate",
    abstract: "Aggregate updates into the next model offline, with the same code as central.",
    discussion: """
      An update file holds the new parameters, or the differences to the base if its metadata has "muster.content": "delta". Its weight is \
      the number after the colon, otherwise "muster.weight" of its metadata, otherwise 1.

      muster aggregate --strategy fedavg --global g.safetensors --update a.safetensors:120 b.safetensors:80 --out new.safetensors
      muster aggregate --strategy '{filters: [{clip: 2}], combiner: {trimmedMean: 0.2}, optimizer: adam}' …
      """)

  @Option(
    help: ArgumentHelp(
      "A name (fedavg, krum, …), a value as under strategy in a task file, or @FILE for the strategy of a task file.", valueName: "spec"))
  var strategy: String

  @Option(help: ArgumentHelp("The model that the updates started from.", valueName: "file"))
  var global: String

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "The updates. Can be repeated. Their order does not matter, because they are sorted by name.", valueName: "file[:weight]"),
    transform: UpdateArgument.init(parsing:))
  var update: [UpdateArgument]

  @Option(
    name: [.long, .customShort("o")], help: ArgumentHelp("The file for the next model. An existing file is replaced.", valueName: "file"))
  var out: String

  @Option(
    help: ArgumentHelp("The server optimizer's state after the previous round (default: none, so it starts fresh).", valueName: "file"))
  var stateIn: String?

  @Option(help: ArgumentHelp("The file for the server optimizer's state after this round.", valueName: "file"))
  var stateOut: String?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Metadata of the next model. Central's models have muster.round.", valueName: "key=value"),
    transform: { text in
      guard let cut = text.firstIndex(of: "=") else { throw ValidationError("metadata must be given as KEY=VALUE") }
      return (String(text[..<cut]), String(text[text.index(after: cut)...]))
    })
  var metadata: [(key: String, value: String)] = []

  @Option(
    help: ArgumentHelp(
      "A program that the strategy can name as its combiner, see docs/aggregation.md. Can be repeated.", valueName: "name=command"),
    transform: ExternalRuleArgument.init(parsing:))
  var rule: [ExternalRuleArgument] = []

  @Option(help: ArgumentHelp("The number of threads. The result does not depend on it.", valueName: "count"))
  var threads: Int?

  @OptionGroup var format: OutputOptions

  func validate() throws {
    if let threads, !(1...256).contains(threads) { throw ValidationError("--threads must be between 1 and 256") }
  }

  func run() throws {
    var rules = Rules()
    for rule in rule {
      rules.add(
        external: rule.name, command: rule.command, folder: FileManager.default.temporaryDirectory.path,
        confinement: .init(launcher: TrainerLaunch.prefix(TrainerLimits(nice: 0))))
    }
    let strategy = try StrategyText.strategy(strategy, rules: rules)
    let updates = try update.map { try $0.stored() }
    let result: AggregationResult
    do {
      result = try aggregate(
        base: global, updates: updates, strategy: strategy, output: out,
        metadata: Dictionary(metadata.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 }), durable: false, stateIn: stateIn,
        stateOut: stateOut,
        threads: threads)
    } catch {
      throw CommandError(.refused, "\(error)")
    }
    let hasState = stateOut != nil && !strategy.optimizer.memory.isEmpty
    try AggregateReport(result, out: out, stateOut: hasState ? stateOut : nil).show(as: format.output)
  }
}

/// An argument `FILE` or `FILE:WEIGHT`.
struct UpdateArgument: Hashable, Sendable {
  var file: String
  var weight: Double?

  init(parsing text: String) throws {
    guard let colon = text.lastIndex(of: ":"), let weight = Double(text[text.index(after: colon)...]) else {
      guard !text.isEmpty else { throw ValidationError("an update must be given as FILE or FILE:WEIGHT") }
      file = text
      return
    }
    file = String(text[..<colon])
    self.weight = weight
  }

  func stored() throws(CommandError) -> StoredUpdate {
    let weight: Double
    if let own = self.weight {
      weight = own
    } else {
      do {
        let text = try SafetensorsFile(path: file).metadata["muster.weight"]
        guard let number = Double(text ?? "1") else { throw CommandError(.refused, "\(file): its muster.weight is not a number") }
        weight = number
      } catch let error as CommandError {
        throw error
      } catch {
        throw CommandError(.refused, "\(file) is not an update: \(error)")
      }
    }
    return StoredUpdate(path: file, file: file, weight: weight)
  }
}

/// An argument `NAME=PROGRAM ARGUMENT …`. The command is split at spaces.
struct ExternalRuleArgument: Hashable, Sendable {
  var name: String
  var command: [String]

  init(parsing text: String) throws {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty else { throw ValidationError("a rule must be given as NAME=COMMAND") }
    name = String(parts[0])
    command = parts[1].split(separator: " ").map(String.init)
    guard !command.isEmpty else { throw ValidationError("a rule must be given as NAME=COMMAND") }
  }
}

/// Parses a strategy given on the command line.
enum StrategyText {
  static func strategy(_ text: String, rules: Rules = Rules()) throws(CommandError) -> Strategy {
    let specification = try specification(text)
    do {
      return try Strategy(specification, rules: rules)
    } catch {
      throw CommandError(.usage, "--strategy: \(error)")
    }
  }

  static func specification(_ text: String) throws(CommandError) -> StrategySpecification {
    if text.hasPrefix("@") { return try TaskFile(path: String(text.dropFirst())).specification.strategy }
    // Parse the text as the `strategy` field of a task file, so that the same words are valid and errors read the same.
    let field = text.hasPrefix("{") ? text : OrderedJSON.quote(text)
    let task = "{name: offline, model: {type: any}, rounds: 1, cohort: {size: 1}, strategy: \(field)}"
    return try TaskFile(text: task, path: "--strategy").specification.strategy
  }
}
