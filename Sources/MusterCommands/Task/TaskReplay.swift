import ArgumentParser
import MusterSchema

/// `muster task replay TASK`
struct TaskReplay: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Compute rounds' models again from what central has stored, and compare.",
    discussion: """
      Without --round: every round that made a model. What retention has collected is named; it is no failure, unless that round was asked
      for. Exit code 5: a model differs from what was recorded.
      """)

  @OptionGroup var target: TaskArgument
  @Option(help: "One round only.") var round: Int?
  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    let client = try server.client()
    let rounds =
      if let round { [round] } else { try await client.rounds(target.task).reversed().filter { $0.result != nil }.map(\.round) }
    guard !rounds.isEmpty else {
      throw CommandError(.refused, "task \(target.task) has no closed round yet: nothing can be computed again")
    }
    var reports: [ReplayReport] = []
    for round in rounds { reports.append(try await client.replay(target.task, round: round)) }
    try Console.show(reports, as: format.output)
    let wrong = reports.filter { $0.computed != nil && !$0.isSame }
    guard wrong.isEmpty else {
      throw CommandError(.taskFailed, "round \(wrong.map { "\($0.round)" }.joined(separator: ", ")) gives another model than was recorded")
    }
    if round != nil, let missing = reports.first?.collected, !missing.isEmpty {
      throw CommandError(
        .refused, "round \(rounds[0]) cannot be computed again: retention has collected \(missing.joined(separator: ", "))")
    }
  }
}

extension ReplayReport: Tabular {
  static var columns: [Table.Column] { [.number("ROUND"), "RESULT", "RECORDED", "COLLECTED"] }

  var row: [String] {
    let result = computed == nil ? "collected" : isSame ? "same" : "DIFFERENT"
    let named = collected.prefix(2).joined(separator: ", ") + (collected.count > 2 ? " and \(collected.count - 2) more" : "")
    return ["\(round)", result, recorded.description, named]
  }
}
