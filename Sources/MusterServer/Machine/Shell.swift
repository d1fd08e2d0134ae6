package import Logging
package import MusterCoordination
package import MusterParticipation
import MusterSchema
import MusterShell
package import MusterStorage

/// Carries out the effects of a machine.
package protocol EffectPerformer<M>: Sendable {
  associatedtype M: Machine

  /// Called in order when the records of a batch are durable, and without effects when ``next`` has come. Must return without waiting for
  /// the network.
  func perform(_ effects: [M.Effect], of machine: M, at now: Instant) async

  /// When `perform` must be called next for work that had to wait.
  var next: Instant? { get }

  /// Called when a batch was not committed. Its effects are dropped, and callers that wait for an answer must be told.
  func failed(_ events: [M.Event], _ error: StorageError) async

  /// Called when the shell has ended, so that no waiting caller will get an answer.
  func stopped() async
}

/// Runs one machine: drains its mailbox into a ``Committer``, stores the records of each batch in one transaction, and then has the effects
/// performed.
///
/// A batch without records does not access the disk.
package actor Shell<M: Machine> where M.Record: HistoricRecord {
  package nonisolated let mailbox = Mailbox<M.Event>()

  private typealias Batch = Committer<M, Mailbox<M.Event>.Sender>.Batch

  private var committer: Committer<M, Mailbox<M.Event>.Sender>
  private let name: String
  private let store: any Store
  private let clock: MachineClock
  private let logger: Logger

  package init(_ machine: M, name: String, store: any Store, clock: MachineClock, logger: Logger) {
    committer = Committer(machine)
    self.name = name
    self.store = store
    self.clock = clock
    self.logger = logger
  }

  package nonisolated var now: Instant { clock.now }

  /// The machine in its last committed state.
  package var machine: M { committer.machine }

  /// Calls the closure with the committed machine. Nothing is committed during the call, so whatever the closure publishes precedes the
  /// effects of later commits.
  package func read<Result: Sendable>(_ body: @Sendable (borrowing M) -> Result) -> Result { body(committer.machine) }

  /// Runs until the task is cancelled.
  package func run(performing performer: some EffectPerformer<M>) async {
    while !Task.isCancelled {
      let now = clock.now
      switch committer.begin(at: now, letters: mailbox.drain) {
      case .idle(let due):
        await mailbox.wait(until: [due, performer.next].compactMap { $0 }.min().map(clock.time))
        await perform([], performer)
      case .perform(let batch): await finish(batch, performer)
      case .store(let records): await commit(records, at: now, performer)
      }
    }
    mailbox.close()
    for sender in committer.abandon() { sender.resume(returning: .busy) }
    await performer.stopped()
  }

  private func commit(_ records: [M.Record], at now: Instant, _ performer: some EffectPerformer<M>) async {
    do {
      try await store.commit(records, machine: name, at: now)
      await finish(committer.stored(), performer)
    } catch .unstorable(let task, let reason) {
      switch committer.refused(task, reason: reason, at: clock.now) {
      case .halved: break
      case .ends(let task):
        logger.error(
          "a record can never be stored, so its task ends: \(reason)", metadata: ["machine": "\(name)", "task.id": "\(task)"])
      case .dropped(let batch):
        logger.critical(
          "an event is dropped, because a record that it leads to can never be stored: \(reason)", metadata: ["machine": "\(name)"])
        await tell(batch, .unstorable(task, reason), performer)
      }
    } catch {
      logger.error("\(records.count) records cannot be stored in the journal: \(error)", metadata: ["machine": "\(name)"])
      await tell(committer.failed(at: clock.now), error, performer)
    }
  }

  private func finish(_ batch: Batch, _ performer: some EffectPerformer<M>) async {
    await perform(batch.effects, performer)
    for sender in batch.senders { sender.resume(returning: .committed) }
  }

  private func perform(_ effects: [M.Effect], _ performer: some EffectPerformer<M>) async {
    let now = clock.now
    if !effects.isEmpty || performer.next.map({ $0 <= now }) ?? false { await performer.perform(effects, of: machine, at: now) }
  }

  private func tell(_ batch: Batch, _ error: StorageError, _ performer: some EffectPerformer<M>) async {
    await performer.failed(batch.events, error)
    for sender in batch.senders { sender.resume(returning: .failed(error)) }
  }
}

extension Store {
  /// Stores all records in one transaction.
  func commit(_ records: [some HistoricRecord], machine: String, at now: Instant) async throws(StorageError) {
    var transaction = StoreTransaction(changes: records.flatMap(\.history), at: (machine, now.milliseconds))
    for record in records {
      if !record.supersedes.isEmpty {
        transaction.replacing.append(JournalRange(machine: machine, task: record.task, kinds: record.supersedes))
        transaction.entries.removeAll { $0.task == record.task && record.supersedes.contains($0.kind) }
      }
      if record.isJournaled { transaction.entries.append(try JournalEntry(record, machine: machine, at: now)) }
    }
    try await commit(transaction)
  }
}

extension JournalEntry {
  init(_ record: some MachineRecord, machine: String, at now: Instant) throws(StorageError) {
    do {
      self.init(machine: machine, task: record.task, kind: record.kind, at: now.milliseconds, body: try JSON.encode(record))
    } catch {
      throw .unstorable(record.task, "a record \"\(record.kind)\" cannot be encoded: \(explain(error))")
    }
  }

  func record<R: MachineRecord>(_: R.Type) throws(StorageError) -> R {
    do {
      return try JSON.decode(R.self, from: body)
    } catch {
      throw .corrupt("the journal of \(machine) holds a record \"\(kind)\" that cannot be decoded: \(JSON.explain(error, in: body))")
    }
  }
}

/// Describes only the value that cannot be encoded, not the whole record.
private func explain(_ error: any Error) -> String {
  guard case EncodingError.invalidValue(let value, let context) = error else { return "\(error)" }
  return "\(context.codingPath.map(\.stringValue).joined(separator: ".")) is \(value)"
}
