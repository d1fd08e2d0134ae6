import ArgumentParser
import MusterSchema

/// `muster model …`
struct ModelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "List and download the global models of a task.", subcommands: [ModelList.self, ModelGet.self])
}

/// `muster model list TASK`
struct ModelList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "List the models of a task, one for each round.")

  @OptionGroup var target: TaskArgument
  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    let client = try server.client()
    let models: [ModelCheckpoint] = try await client.models(target.task).reversed()
    switch format.output {
    case .json: try Console.show(json: models)
    case .table: try Console.show(Table.models(models, metric: try await client.task(target.task, lastRounds: 0).summary.metric))
    }
  }
}
