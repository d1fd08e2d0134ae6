import ArgumentParser

/// `muster task list`
struct TaskList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "All tasks that central keeps.")

  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    let tasks = try await server.client().tasks()
    try Console.show(tasks, as: format.output)
    if tasks.isEmpty, format.output == .table { Console.note("no tasks yet: muster task push FILE --region REGION") }
  }
}
