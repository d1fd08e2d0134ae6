import ArgumentParser

/// `muster task evaluate TASK`
struct TaskEvaluate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate", abstract: "Evaluate the task's model now, on its devices and at central.")

  @OptionGroup var target: TaskArgument
  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    try Console.show(one: try await server.client().perform(.evaluate, on: target.task), as: format.output)
  }
}
