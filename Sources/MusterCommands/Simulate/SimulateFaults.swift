import ArgumentParser
import FoundationEssentials
import MusterSchema
import MusterSimulation
import Synchronization

/// `muster simulate faults --seeds A..B`, `muster simulate faults --seed N --trace`
struct SimulateFaults: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "faults", abstract: "Search for protocol bugs in simulations with many faults, one for each seed.",
    discussion: """
      Each seed determines a fleet of central, regions and devices, one or two tasks, and the faults: lost, duplicate and late messages, \
      partitions, half-open connections, crashes at every step, brokers that lose their memory, full disks, and nodes that lie. The \
      simulation runs the real coordinators and participants, and checks every promise of the protocol at every step. A seed always gives \
      the same history, so a failure can be reproduced.
      """)

  @Option(name: .long, help: ArgumentHelp("The range of seeds to run, including both ends.", valueName: "a..b"), transform: seedRange)
  var seeds: ClosedRange<UInt64>?

  @Option(name: .long, help: "Run a single seed.")
  var seed: UInt64?

  @Flag(name: .long, help: "With --seed, print everything that happens, line by line.")
  var trace = false

  @Option(name: .long, help: "The number of seeds to run at once.")
  var jobs = 2

  @Option(name: .long, help: ArgumentHelp("Switch on a planted bug, to check that the search finds it.", visibility: .hidden))
  var plant: [String] = []

  @Option(
    name: .long,
    help: ArgumentHelp("Compare each seed's history with a file of recorded digests. The exit code is 1 if one differs.", valueName: "file")
  )
  var digests: String?

  @Option(name: .long, help: ArgumentHelp("Write the digests of seeds 1..n to a file.", valueName: "file"))
  var record: String?

  @OptionGroup var format: OutputOptions

  func validate() throws {
    guard (seeds == nil) != (seed == nil) else { throw ValidationError("give either --seeds A..B or --seed N") }
    guard !trace || seed != nil else { throw ValidationError("--trace needs --seed") }
    guard (1...256).contains(jobs) else { throw ValidationError("--jobs must be 1 to 256") }
    guard record == nil || seeds?.lowerBound == 1 else { throw ValidationError("--record needs --seeds 1..N") }
    for name in plant where PlantedBug(rawValue: name) == nil {
      throw ValidationError("there is no planted bug \"\(name)\"; there are \(PlantedBug.allCases.map(\.rawValue).joined(separator: ", "))")
    }
  }

  func run() async throws {
    let bugs = Set(plant.compactMap(PlantedBug.init(rawValue:)))
    let summary: FaultSummary
    if let seed {
      let report = FaultSearch.run(seed: seed, bugs: bugs, keepsTrace: trace)
      for line in report.lines { try Console.print(line) }
      var one = FaultSummary()
      one.add(report)
      summary = one
    } else {
      summary = await search(seeds ?? 1...1, bugs)
    }
    try show(summary)
    if !summary.violations.isEmpty { throw CommandError(.unexpected, "promises of the protocol were broken, see above") }
    if let digests { try compare(summary, with: digests) }
    if let record { try write(summary, to: record) }
  }

  private func compare(_ summary: FaultSummary, with path: String) throws(CommandError) {
    let text: String
    do {
      text = try String(contentsOfFile: path, encoding: .utf8)
    } catch {
      throw CommandError(.usage, "\(path) cannot be read: \(systemReason(error))")
    }
    guard let recorded = SeedDigests(text) else { throw CommandError(.usage, "\(path) is not a file of digests written by --record") }
    let differing = recorded.differing(from: summary.histories)
    guard differing.isEmpty else {
      let seeds = differing.prefix(10).map(String.init).joined(separator: ", ") + (differing.count > 10 ? ", …" : "")
      throw CommandError(
        .unexpected, "\(Words.count(differing.count, "history", plural: "histories")) differ from \(path): seeds \(seeds)")
    }
    Console.note("\(summary.histories.keys.count { $0 <= recorded.count }) histories match those recorded in \(path)")
  }

  private func write(_ summary: FaultSummary, to path: String) throws(CommandError) {
    guard let digests = SeedDigests(summary.histories) else {
      throw CommandError(.interrupted, "nothing was recorded, because not every seed was run")
    }
    do {
      try digests.text.write(toFile: path, atomically: true, encoding: .utf8)
    } catch {
      throw CommandError(.unexpected, "\(path) cannot be written: \(systemReason(error))")
    }
  }

  @inline(never)
  private func show(_ summary: FaultSummary) throws {
    switch format.output {
    case .json: try Console.show(json: SimulationResult(summary))
    case .table: try Console.print(summary.description)
    }
  }

  /// Runs several seeds at once, each on a thread of its own.
  private func search(_ seeds: ClosedRange<UInt64>, _ bugs: Set<PlantedBug>) async -> FaultSummary {
    let queue = SeedQueue(seeds)
    let progress = SearchProgress(total: seeds.count)
    return await withTaskGroup(of: FaultSummary.self) { group in
      for _ in 0..<jobs {
        group.addTask {
          var summary = FaultSummary()
          while !Task.isCancelled, let chunk = queue.next() {
            let part = FaultSearch.run(seeds: chunk, bugs: bugs)
            summary.add(part)
            progress.add(part)
          }
          return summary
        }
      }
      var whole = FaultSummary()
      for await part in group { whole.add(part) }
      progress.end()
      return whole
    }
  }
}

/// Parses a range such as `1..1000`.
@Sendable private func seedRange(_ text: String) throws -> ClosedRange<UInt64> {
  let ends = text.split(separator: ".", omittingEmptySubsequences: true).compactMap { UInt64($0) }
  guard ends.count == 2, text == "\(ends[0])..\(ends[1])" || text == "\(ends[0])...\(ends[1])", ends[0] <= ends[1] else {
    throw ValidationError("a range of seeds must be given as in 1..1000")
  }
  return ends[0]...ends[1]
}

/// Hands out ranges of seeds.
private final class SeedQueue: Sendable {
  private let state: Mutex<UInt64?>
  private let last: UInt64

  init(_ seeds: ClosedRange<UInt64>) {
    state = Mutex(seeds.lowerBound)
    last = seeds.upperBound
  }

  func next() -> ClosedRange<UInt64>? {
    state.withLock { next in
      guard let first = next else { return nil }
      let end = last - first < 25 ? last : first + 24
      next = end == last ? nil : end + 1
      return first...end
    }
  }
}

/// Shows the progress of the search on the terminal, once a second.
private final class SearchProgress: Sendable {
  private struct State {
    var done = 0
    var violations = 0
    var shown = ContinuousClock.now
  }

  private let total: Int
  private let isShown = Terminal.error.isTerminal
  private let started = ContinuousClock.now
  private let state = Mutex(State())

  init(total: Int) { self.total = total }

  func add(_ part: FaultSummary) {
    let due = state.withLock { state -> State? in
      state.done += part.seeds
      state.violations += part.violations.count
      guard isShown, .now - state.shown > .seconds(1) else { return nil }
      state.shown = .now
      return state
    }
    guard let due else { return }
    let rate = Double(due.done) / max(0.001, started.duration(to: .now) / .seconds(1))
    Console.progress("\r\u{1B}[K\(due.done) of \(total) seeds, \(Int(rate)) a second, \(due.violations) violations")
  }

  func end() { if isShown { Console.progress("\r\u{1B}[K") } }
}

/// The summary as JSON.
private struct SimulationResult: Encodable {
  struct Found: Encodable {
    var seed: UInt64
    var seconds: Double
    var what: String
  }

  var seeds: Int
  var events: Int
  var virtualSeconds: Double
  var completed: Int
  var failed: Int
  var cancelled: Int
  var digest: String
  var violations: [Found]

  init(_ summary: FaultSummary) {
    seeds = summary.seeds
    events = summary.steps
    virtualSeconds = summary.virtualSeconds
    completed = summary.completed
    failed = summary.failed
    cancelled = summary.cancelled
    digest = String(summary.digest, radix: 16)
    violations = summary.violations.map { Found(seed: $0, seconds: Double($1.time) / 1000, what: $1.what) }
  }
}
