import ArgumentParser
import MusterSchema

/// `muster task list`
struct TaskList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "List the tasks that central keeps, newest first.")

  @Option(
    parsing: .singleValue,
    help: ArgumentHelp("Show only tasks in this state, such as training or failed. Can be repeated.", valueName: "state"),
    transform: step)
  var state: [RoundState.Step] = []

  @Option(help: ArgumentHelp("Show only the newest N tasks.", valueName: "n"))
  var last: Int?

  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func validate() throws {
    if let last, last < 1 { throw ValidationError("--last must be 1 or more") }
  }

  func run() async throws {
    // Only central's memory knows the states of open tasks, so a filter by state needs all tasks.
    let tasks = try await server.client().tasks(last: state.isEmpty ? last : nil)
    try Console.show(chosen(of: tasks), as: format.output)
    if tasks.isEmpty, format.output == .table {
      Console.note("there are no tasks yet; push one with muster task push FILE --region REGION")
    }
  }

  /// - Parameter tasks: the tasks, newest first.
  func chosen(of tasks: [TaskSummary]) -> [TaskSummary] {
    Array(tasks.filter { state.isEmpty || state.contains($0.step) }.prefix(last ?? .max))
  }
}

private func step(_ text: String) throws -> RoundState.Step {
  guard let step = RoundState.Step(rawValue: text) else {
    throw ValidationError("\(text) is not a state; the states are \(RoundState.Step.allCases.map(\.rawValue).joined(separator: ", "))")
  }
  return step
}
