import ArgumentParser

/// `muster task watch TASK`
struct TaskWatch: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch", abstract: "Follow a task to its end: exit 0 when it completed, 5 when it failed or was cancelled.")

  @OptionGroup var target: TaskArgument
  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    try await TaskWatcher(client: try server.client(), task: target.task, format: format.output).run()
  }
}
