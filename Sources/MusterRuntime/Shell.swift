package import Logging
package import MusterCoordination
import MusterSchema
package import MusterStorage

/// What carries out a machine's effects.
package protocol EffectPerformer<M>: Sendable {
  associatedtype M: Machine

  /// Called once a batch's records are durable, in order. Must not wait for the network: hand over and return.
  func perform(_ effects: [M.Effect], of machine: M) async

  /// The batch was not committed and its effects are dropped: tell those who wait for an answer.
  func failed(_ events: [M.Event], _ error: StorageError) async

  /// The shell has ended: nobody who still waits gets an answer.
  func stopped() async
}

/// Runs one machine: drains its mailbox, commits the records of the whole batch in one transaction, then has the effects performed.
///
/// A batch without records never touches the disk. What a batch makes of the machine shows only once it is committed. A failed commit leaves
/// the machine as it was, drops the batch's effects, says so to whoever waits, and lets time's own events wait for a second. A record that can
/// never be stored ends its own task, and no other.
package actor Shell<M: Machine> {
  package private(set) var machine: M
  package nonisolated let mailbox = Mailbox<M.Event>()

  private let name: String
  private let store: Store
  private let clock: MachineClock
  private let logger: Logger
  /// After a failed commit: when what is due by time alone is tried again.
  private var retryAt: ContinuousClock.Instant?
  private static var batch: Int { 512 }

  package init(_ machine: M, name: String, store: Store, clock: MachineClock, logger: Logger) {
    self.machine = machine
    self.name = name
    self.store = store
    self.clock = clock
    self.logger = logger
  }

  package nonisolated var now: Instant { clock.now }

  /// Runs until the task is cancelled.
  package func run(performing performer: some EffectPerformer<M>) async {
    while !Task.isCancelled {
      let batch = mailbox.drain(Self.batch)
      let due = machine.nextDeadline.map { max(clock.time(of: $0), retryAt ?? .now) }
      let isDue = due.map { $0 <= .now } ?? false
      if batch.isEmpty && !isDue {
        await mailbox.wait(until: due)
        continue
      }
      var letters = batch
      if isDue { letters.append(Letter(event: M.tick, sender: nil)) }
      await process(letters[...], performer)
    }
    mailbox.close()
    await performer.stopped()
  }

  private typealias Letter = Mailbox<M.Event>.Letter

  /// A batch that holds a record which can never be stored is halved until the event that makes it stands alone: the others are committed.
  private func process(_ letters: ArraySlice<Letter>, _ performer: some EffectPerformer<M>) async {
    let events = letters.map(\.event)
    var outcome = await commit(events, performer)
    if case .failed(.unstorable(let task, let reason)) = outcome {
      guard letters.count == 1 else {
        let middle = letters.startIndex + letters.count / 2
        await process(letters[..<middle], performer)
        await process(letters[middle...], performer)
        return
      }
      outcome = await isolate(events, task, reason, performer)
    }
    if case .failed(let error) = outcome { await performer.failed(events, error) }
    for letter in letters { letter.sender?.resume(returning: outcome) }
  }

  /// Ends the task whose record can never be stored, and lets the event do what it still can. One event may do that to several tasks.
  private func isolate(
    _ events: [M.Event], _ task: TaskID?, _ reason: String, _ performer: some EffectPerformer<M>
  ) async -> Submission {
    var (task, reason) = (task, reason)
    var ended: Set<TaskID> = []
    while let poisoned = task, ended.insert(poisoned).inserted {
      logger.error(
        "a record can never be stored, its task ends: \(reason)", metadata: ["machine": "\(name)", "task.id": "\(poisoned)"])
      var ending = await commit([M.unstorable(poisoned, reason: reason, bare: false)], performer)
      if case .failed(.unstorable) = ending { ending = await commit([M.unstorable(poisoned, reason: reason, bare: true)], performer) }
      guard case .committed = ending else { return ending }
      let outcome = await commit(events, performer)
      guard case .failed(.unstorable(let next, let why)) = outcome else { return outcome }
      (task, reason) = (next, why)
    }
    logger.critical("an event is dropped, for what it leads to can never be stored: \(reason)", metadata: ["machine": "\(name)"])
    return .failed(.unstorable(task, reason))
  }

  /// One transaction, and its effects. What fails leaves the machine as it was.
  private func commit(_ events: [M.Event], _ performer: some EffectPerformer<M>) async -> Submission {
    var next = machine
    let now = clock.now
    var records: [M.Record] = []
    var effects: [M.Effect] = []
    for event in events {
      let step = next.handle(event, at: now)
      records += step.records
      effects += step.effects
    }
    if !records.isEmpty {
      do {
        try await store.commit(records, machine: name, at: now)
      } catch {
        if case .unstorable = error { return .failed(error) }
        logger.error("the journal did not take \(records.count) records: \(error)", metadata: ["machine": "\(name)"])
        retryAt = .now + .seconds(1)
        return .failed(error)
      }
      retryAt = nil
    }
    machine = next
    if !effects.isEmpty { await performer.perform(effects, of: machine) }
    return .committed
  }
}

extension Store {
  /// One transaction for all of them.
  func commit(_ records: [some MachineRecord], machine: String, at now: Instant) async throws(StorageError) {
    var entries: [JournalEntry] = []
    var superseded: [JournalRange] = []
    for record in records {
      do {
        entries.append(
          JournalEntry(machine: machine, task: record.task, kind: record.kind, at: now.milliseconds, body: try JSON.encode(record)))
      } catch {
        throw .unstorable(record.task, "a record \"\(record.kind)\" cannot be encoded: \(explain(error))")
      }
      if !record.supersedes.isEmpty {
        superseded.append(JournalRange(machine: machine, task: record.task, kinds: record.supersedes))
      }
    }
    try await append(entries, replacing: superseded)
  }

  /// Names the value, not the whole record.
  private func explain(_ error: any Error) -> String {
    guard case EncodingError.invalidValue(let value, let context) = error else { return "\(error)" }
    return "\(context.codingPath.map(\.stringValue).joined(separator: ".")) is \(value)"
  }

  /// A machine's records, in order.
  package func records<R: MachineRecord>(_: R.Type, machine: String) throws(StorageError) -> [(at: Instant, record: R)] {
    var records: [(at: Instant, record: R)] = []
    for entry in try entries(machine: machine) {
      do {
        records.append((Instant(milliseconds: entry.at), try JSON.decode(R.self, from: entry.body)))
      } catch {
        let why = JSON.explain(error, in: entry.body)
        throw .corrupt("the journal of \(machine) holds a record \"\(entry.kind)\" that is not understood: \(why)")
      }
    }
    return records
  }
}
