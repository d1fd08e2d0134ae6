import ArgumentParser

/// `muster task pause TASK`
struct TaskPause: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pause", abstract: "Stop inviting devices. Running jobs finish and count, and deadlines are suspended.")

  @OptionGroup var target: TaskArgument
  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    try Console.show(one: try await server.client().perform(.pause, on: target.task), as: format.output)
  }
}
