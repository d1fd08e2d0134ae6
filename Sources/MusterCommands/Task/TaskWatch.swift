import ArgumentParser

/// `muster task watch TASK`
struct TaskWatch: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch", abstract: "Follow a task to its end. The exit code is 0 if it completed, 5 if it failed or was cancelled.")

  @OptionGroup var target: TaskArgument
  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    try await TaskWatcher(client: try server.client(), task: target.task, format: format.output).run()
  }
}
