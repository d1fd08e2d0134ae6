import ArgumentParser
import MusterSchema

/// `muster model get TASK --out FILE`
struct ModelGet: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "get", abstract: "Download a model as a safetensors file and check its digest.")

  @OptionGroup var target: TaskArgument

  @Option(
    help: ArgumentHelp("A round's number, best (by the task's metric, which muster task show prints), or last.", valueName: "round"),
    transform: ModelChoice.init(parsing:))
  var round: ModelChoice = .last

  @Option(name: [.long, .customShort("o")], help: ArgumentHelp("The file for the model. An existing file is replaced.", valueName: "file"))
  var out: String

  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    let client = try server.client()
    let detail = try await client.task(target.task, lastRounds: 0)
    let models = try await candidates(client)
    let model = try round.pick(from: models, stop: detail.specification.stop, task: target.task)
    try await client.download(model, to: out)
    switch format.output {
    case .json: try Console.show(json: Downloaded(file: out, model: model))
    case .table:
      let metrics = Words.metrics(model.evaluation ?? [:], first: detail.summary.metric).map { ", \($0)" }.joined()
      try Console.print("\(out)  round \(model.round), \(Words.bytes(model.bytes))\(metrics)")
    }
  }

  /// The models that may match the choice, in the order of their rounds.
  private func candidates(_ client: OpsClient) async throws -> [ModelCheckpoint] {
    switch round {
    case .last: try await client.models(target.task, last: 1)
    case .round(let round): try await client.models(target.task, before: min(round, Int.max - 1) + 1, last: 1)
    case .best: try await client.models(target.task).reversed()
    }
  }

  private struct Downloaded: Encodable {
    var file: String
    var model: ModelCheckpoint
  }
}

/// The choice of one of a task's models.
enum ModelChoice: Hashable, Sendable {
  case round(Int)
  case best
  case last

  init(parsing text: String) throws {
    switch text {
    case "best": self = .best
    case "last": self = .last
    default:
      guard let round = Int(text), round >= 0 else { throw ValidationError("a round must be a number from 0 on, best, or last") }
      self = .round(round)
    }
  }

  /// Finds the chosen model.
  ///
  /// - Throws: ``CommandError`` with exit code 3 when there is no such model, or when it was not kept.
  func pick(from models: [ModelCheckpoint], stop: StopSpecification?, task: TaskID) throws(CommandError) -> ModelCheckpoint {
    let found: ModelCheckpoint?
    switch self {
    case .round(let round): found = models.first { $0.round == round }
    case .last: found = models.max { $0.round < $1.round }
    case .best: found = TaskMetric.best(of: models, stop: stop)
    }
    guard let found else {
      switch self {
      case .round(let round):
        throw CommandError(.refused, "task \(task) has no model of round \(round); muster model list \(task) lists its models")
      case .best: throw CommandError(.refused, "no model of task \(task) has been evaluated yet; try --round last")
      case .last: throw CommandError(.refused, "task \(task) has no model yet; muster why \(task) gives the reason")
      }
    }
    guard found.kept else {
      throw CommandError(
        .refused,
        "the model of round \(found.round) was removed: the task keeps only its newest models, the best and the initial one (`keep`)")
    }
    return found
  }
}
