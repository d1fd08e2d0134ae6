import ArgumentParser

/// `muster task resume TASK`
struct TaskResume: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "resume", abstract: "Continue a paused task.")

  @OptionGroup var target: TaskArgument
  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    try Console.show(one: try await server.client().perform(.resume, on: target.task), as: format.output)
  }
}
