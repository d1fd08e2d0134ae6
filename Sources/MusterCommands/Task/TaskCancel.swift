import ArgumentParser

/// `muster task cancel TASK`
struct TaskCancel: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "cancel", abstract: "End a task permanently. Devices stop training it.")

  @OptionGroup var target: TaskArgument
  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    try Console.show(one: try await server.client().perform(.cancel, on: target.task), as: format.output)
  }
}
