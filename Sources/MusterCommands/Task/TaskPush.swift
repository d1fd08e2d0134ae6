import ArgumentParser
import FoundationEssentials
import MusterSchema

/// `muster task push FILE`
struct TaskPush: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "push", abstract: "Push a task to central.",
    discussion: """
      The file is YAML or JSON. `initial: {blob: FILE}` may name a safetensors file beside the task file, and \
      `model: {step: {blob: FILE}}` an exported training step. Such files are uploaded first. The id is printed before anything is \
      sent. If no answer arrives, repeat the push with --id and that id: a repeated push does not start a second task.
      """)

  @Argument(help: "The task file.", completion: .file(extensions: ["yaml", "yml", "json"]))
  var file: String

  @Option(
    name: .long, parsing: .singleValue,
    help: ArgumentHelp("A region that takes part, instead of the regions in the file. Can be repeated.", valueName: "region"),
    transform: identifier)
  var region: [NodeID] = []

  @Option(
    name: .customLong("where"), help: ArgumentHelp("Select devices by their labels, as in arch=x86_64,site!=lab.", valueName: "labels"))
  var selector: String?

  @Option(help: ArgumentHelp("The task's id (default: the name and six random characters).", valueName: "id"), transform: identifier)
  var id: TaskID?

  @Flag(help: "List the devices that match, and why others do not, without pushing the task.")
  var dryRun = false

  @Flag(help: "Follow the task to its end. The exit code is 5 if it fails.")
  var watch = false

  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func validate() throws {
    if dryRun, watch { throw ValidationError("--dry-run and --watch cannot be combined, because --dry-run pushes nothing") }
  }

  func run() async throws {
    var task = try TaskFile(path: file)
    if !region.isEmpty { task.specification.regions = region }
    if let selector { task.specification.where = selector }
    try task.check()
    let client = try server.client()
    guard !dryRun else { return try await check(task, client) }

    for blob in task.blobs { try await client.store(blob: try blob.bytes(), digest: blob.digest) }
    var generator = SystemRandomNumberGenerator()
    let id = id ?? Slug.taskID(task.specification.name, using: &generator)
    Console.note("task \(id)")
    let summary = try await send(task, id, client)
    if let refusal = Self.refusal(of: summary) { throw CommandError(.refused, refusal) }
    guard watch else { return try Console.show(one: summary, as: format.output) }
    try await TaskWatcher(client: client, task: id, format: format.output).run()
  }

  /// Pushes under an id that was printed before, because without an answer it is unknown whether the task arrived.
  private func send(_ task: TaskFile, _ id: TaskID, _ client: OpsClient) async throws(CommandError) -> TaskSummary {
    do {
      return try await client.push(id, task.specification)
    } catch {
      guard error.exit == .unreachable || error.exit == .interrupted else { throw error }
      throw CommandError(
        error.exit, "\(error)\nThe task may have arrived nevertheless. Repeat the push with --id \(id), which does not start a second task")
    }
  }

  /// The reason why a push under the id of an existing task starts nothing; `nil` when the task is open or completed.
  static func refusal(of summary: TaskSummary) -> String? {
    switch summary.step {
    case .cancelled, .failed:
      "task \(summary.task) already exists and is \(summary.step.rawValue)"
        + " (\(summary.step.reason(in: summary.why))); push it with another --id"
    default: nil
    }
  }

  private func check(_ task: TaskFile, _ client: OpsClient) async throws {
    var answer = try await client.check(task.specification)
    // Ignore problems about these blobs, because a real push would upload them first.
    for blob in task.blobs { answer.problems.removeAll { $0.field == blob.field } }
    switch format.output {
    case .json: try Console.show(json: answer)
    case .table:
      let table = Table(columns: ["DEVICE", "MATCHES", "WHY NOT"], rows: Self.rows(answer))
      for line in table.lines(ink: Ink(Terminal.output)) { try Console.print(line) }
      if answer.problems.isEmpty { Console.note(Self.verdict(answer, task.specification)) }
    }
    guard answer.problems.isEmpty else {
      throw CommandError(.refused, "central would refuse the task:" + task.describe(answer.problems).map { "\n  \($0)" }.joined())
    }
    guard answer.matching.count >= task.specification.cohort.minimum else {
      // In a table, this sentence was already printed above.
      throw CommandError(.refused, format.output == .table ? "" : Self.verdict(answer, task.specification))
    }
  }

  static func rows(_ check: TaskCheck) -> [[String]] {
    check.matching.map { [$0.description, "yes"] } + check.others.map { [$0.node, "no", $0.reason] }
      + check.unreachable.map { [$0.node, "?", $0.reason] }
  }

  static func verdict(_ check: TaskCheck, _ task: TaskSpecification) -> String {
    let count = Words.count(check.matching.count, "device")
    let few = check.matching.count < task.cohort.minimum ? ", but a round needs \(task.cohort.minimum)" : ""
    let size = check.descriptorBytes.map { "; the descriptor takes \($0) of \(MessageCoder.maximumBytes) bytes" } ?? ""
    return "\(count) would take part\(few)\(size); nothing was pushed"
  }
}

/// Makes task ids from names.
enum Slug {
  /// For example `digits-lenet` from `Digits, LeNet!`. It has at most 56 characters, so that a suffix fits.
  static func text(_ name: String) -> String {
    var slug = ""
    for character in name.lowercased() {
      if character.isASCII, character.isLetter || character.isNumber {
        slug.append(character)
      } else if !slug.isEmpty, slug.last != "-" {
        slug.append("-")
      }
    }
    slug = String(slug.prefix(56))
    while slug.last == "-" { slug.removeLast() }
    return slug.isEmpty ? "task" : slug
  }

  static func taskID(_ name: String, using generator: inout some RandomNumberGenerator) -> TaskID {
    // Characters that look alike are left out, because people read ids aloud.
    let letters = Array("abcdefghjkmnpqrstuvwxyz23456789")
    let suffix = (0..<6).map { _ in letters[Int.random(in: 0..<letters.count, using: &generator)] }
    return TaskID(unchecked: "\(text(name))-\(String(suffix))")
  }
}
