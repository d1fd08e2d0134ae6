import ArgumentParser

/// `muster model …`
struct ModelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "The global models of a task.", subcommands: [ModelList.self, ModelGet.self])
}

/// `muster model list TASK`
struct ModelList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "The models of a task, one a round.")

  @OptionGroup var target: TaskArgument
  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws { try Console.show(try await server.client().models(target.task), as: format.output) }
}
