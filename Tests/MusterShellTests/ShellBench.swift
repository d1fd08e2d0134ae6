import MusterGround
import MusterParticipation
import MusterSchema

@testable import MusterShell

/// A driver for these tests: an inbox, a committer, and a disk whose failures are set by the test.
struct ShellBench {
  var committer: Committer<Ledger, String>
  var inbox = Inbox<Ledger.Event, String>()
  /// The stored records, by transaction.
  var stored: [[Ledger.Record]] = []
  /// Every effect that left the shell, in order, with the number of transactions that were stored at that moment.
  var words: [(effect: Ledger.Effect, transactions: Int)] = []
  var outcomes: [String: String] = [:]
  var isDiskFull = false
  /// The kinds of records that can never be stored, by task.
  var unstorable: [TaskID: Set<String>] = [:]
  var now = Instant.zero
  private var senders = 0

  init(faults: PlantedFaults = []) { committer = Committer(Ledger(), faults: faults) }

  var machine: Ledger { committer.machine }
  var effects: [Ledger.Effect] { words.map(\.effect) }

  /// Puts the events into the inbox, with senders 1, 2, ….
  mutating func post(_ events: Ledger.Event...) {
    for event in events {
      senders += 1
      _ = inbox.offer(Letter(event, "\(senders)"))
    }
  }

  /// Takes turns until there is nothing left to do.
  ///
  /// - Returns: when the committer next wants to be called.
  @discardableResult
  mutating func run() -> Instant? {
    for _ in 0..<100 {
      switch committer.begin(at: now, letters: { inbox.drain($0) }) {
      case .idle(let due): return due
      case .perform(let batch): finish(batch, "committed")
      case .store(let records): store(records)
      }
    }
    preconditionFailure("the committer never comes to rest")
  }

  private mutating func store(_ records: [Ledger.Record]) {
    if let poison = records.first(where: { unstorable[$0.task]?.contains($0.kind) ?? false }) {
      switch committer.refused(poison.task, reason: "it is infinite", at: now) {
      case .halved, .ends: break
      case .dropped(let batch): finish(batch, "dropped")
      }
    } else if isDiskFull {
      finish(committer.failed(at: now), "failed")
    } else {
      stored.append(records)
      finish(committer.stored(), "committed")
    }
  }

  private mutating func finish(_ batch: Committer<Ledger, String>.Batch, _ outcome: String) {
    for effect in batch.effects { words.append((effect, stored.count)) }
    for sender in batch.senders { outcomes[sender] = outcome }
  }
}
