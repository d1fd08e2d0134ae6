import ArgumentParser
import MusterSchema

/// `muster task show TASK`
struct TaskShow: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "show", abstract: "Show a task, its rounds and its models.")

  @OptionGroup var target: TaskArgument

  @Option(
    help: ArgumentHelp("Show the last N rounds and their models (default: 50; as JSON, as many as central sends).", valueName: "n")
  )
  var last: Int?

  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func validate() throws {
    if let last, !(1...PageRequest.most).contains(last) { throw ValidationError("--last must be from 1 to \(PageRequest.most)") }
  }

  func run() async throws {
    let client = try server.client()
    guard format.output == .table else { return try Console.show(json: try await client.task(target.task, lastRounds: last)) }
    let ink = Ink(Terminal.output)
    let shown = last ?? Self.shownRounds
    let picture = try await client.picture(target.task, lastRounds: shown)
    let traffic = try await client.traffic(target.task)
    for line in Self.head(picture, traffic, ink: ink) { try Console.print(line) }
    guard !picture.rounds.isEmpty else { return }
    try Console.print("")
    try Console.show(Table.rounds(picture))
    try Console.print("")
    // One more model, because the first of these rounds started from it.
    let models = try await client.models(target.task, last: shown + 1)
    try Console.show(Table.models(models.reversed(), metric: picture.detail.summary.metric))
    let earlier = picture.detail.roundsEnded - picture.rounds.count
    if earlier > 0 {
      Console.note("\(Words.count(earlier, "earlier round")) not shown: use --last \(min(PageRequest.most, picture.detail.roundsEnded))")
    }
  }

  private static let shownRounds = 50

  /// The lines above the tables.
  static func head(_ picture: TaskPicture, _ traffic: [LinkTraffic] = [], ink: Ink) -> [String] {
    let (summary, task) = (picture.detail.summary, picture.detail.specification)
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
      ("encoding", SavedBytes(picture, traffic)?.words ?? ""),
    ]
    return fields.filter { !$0.1.isEmpty }.map { "\(ink.dim($0.0.padded(to: 8)))  \($0.1.cleaned(for: ink))" }
  }

  /// The traffic of the links below a coordinator, in words.
  private static func words(_ link: LinkTraffic) -> String {
    "\(link.coordinator) received \(Words.bytes(link.traffic.received)), sent \(Words.bytes(link.traffic.sent))"
  }
}

extension String {
  /// Removes control characters, unless the text has colors of its own.
  fileprivate func cleaned(for ink: Ink) -> String { ink == .none ? withoutControlCharacters : self }
}
