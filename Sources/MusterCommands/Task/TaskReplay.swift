import ArgumentParser
import MusterSchema

/// `muster task replay TASK`
struct TaskReplay: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Compute the models of rounds again from the stored updates, and compare them with the recorded ones.",
    discussion: """
      Without --round, every round that made a model is replayed. Files that retention has removed are listed, which is an error only if \
      --round asked for their round. The exit code is 5 if a model differs from the recorded one.
      """)

  @OptionGroup var target: TaskArgument
  @Option(help: "Replay only this round.") var round: Int?
  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    let client = try server.client()
    let rounds =
      if let round { [round] } else { try await client.rounds(target.task).reversed().filter { $0.result != nil }.map(\.round) }
    guard !rounds.isEmpty else {
      throw CommandError(.refused, "task \(target.task) has no closed round yet, so there is nothing to replay")
    }
    var reports: [ReplayReport] = []
    for round in rounds { reports.append(try await client.replay(target.task, round: round)) }
    try Console.show(reports, as: format.output)
    let wrong = reports.filter { $0.computed != nil && !$0.isSame }
    guard wrong.isEmpty else {
      throw CommandError(
        .taskFailed, "round \(wrong.map { "\($0.round)" }.joined(separator: ", ")) gives a model that differs from the recorded one")
    }
    if round != nil, let missing = reports.first?.collected, !missing.isEmpty {
      throw CommandError(
        .refused, "round \(rounds[0]) cannot be replayed, because retention has removed \(missing.joined(separator: ", "))")
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
