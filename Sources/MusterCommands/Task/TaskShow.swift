import ArgumentParser
import MusterSchema

/// `muster task show TASK`
struct TaskShow: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "show", abstract: "A task, its rounds and its models.")

  @OptionGroup var target: TaskArgument
  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    let client = try server.client()
    let detail = try await client.task(target.task)
    guard format.output == .table else { return try Console.show(json: detail) }
    let ink = Ink(Terminal.output)
    let traffic = try await client.traffic(target.task)
    for line in Self.head(detail, traffic, ink: ink) { try Console.print(line) }
    guard !detail.rounds.isEmpty else { return }
    try Console.print("")
    try Console.show(Table.rounds(detail))
    try Console.print("")
    try Console.show(Table.models(detail.models, metric: detail.summary.metric))
  }

  /// What stands above the tables.
  static func head(_ detail: TaskDetail, _ traffic: [LinkTraffic] = [], ink: Ink) -> [String] {
    let (summary, task) = (detail.summary, detail.specification)
    let cohort = task.cohort
    let fields: [(String, String)] = [
      ("task", ink.bold(summary.task.rawValue)),
      ("name", task.name),
      ("state", "\(summary.step.rawValue), round \(summary.round) of \(summary.rounds)"),
      ("why", summary.why),
      ("model", "\(task.model.type), trainer \(task.trainer)"),
      ("regions", task.regions.map(\.rawValue).joined(separator: ", ")),
      ("where", task.where ?? ""),
      ("cohort", "\(cohort.size) devices, at least \(cohort.minimum), within \(Words.seconds(cohort.seconds))"),
      ("metrics", Words.metrics(summary.metrics ?? [:], first: summary.metric).joined(separator: "  ")),
      ("traffic", traffic.map(Self.words).joined(separator: "; ")),
      ("encoding", SavedBytes(detail, traffic)?.words ?? ""),
    ]
    return fields.filter { !$0.1.isEmpty }.map { "\(ink.dim($0.0.padded(to: 8)))  \($0.1.cleaned(for: ink))" }
  }

  /// What crossed the links below a coordinator.
  private static func words(_ link: LinkTraffic) -> String {
    "\(link.coordinator) received \(Words.bytes(link.traffic.received)), sent \(Words.bytes(link.traffic.sent))"
  }
}

extension String {
  /// Removes control characters where there is no ink of ours in the text.
  fileprivate func cleaned(for ink: Ink) -> String { ink == .none ? withoutControlCharacters : self }
}
