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
/// the machine as it was, drops the batch's effects, says so to whoever waits, and lets time's own events wait for a second.
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
      let events = batch.map(\.event)
      let outcome = await process(isDue ? events + [M.tick] : events, performer)
      for letter in batch { letter.sender?.resume(returning: outcome) }
    }
    mailbox.close()
    await performer.stopped()
  }

  private func process(_ events: [M.Event], _ performer: some EffectPerformer<M>) async -> Submission {
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
        logger.error("the journal did not take \(records.count) records: \(error)", metadata: ["machine": "\(name)"])
        retryAt = .now + .seconds(1)
        await performer.failed(events, error)
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
        throw .io("a record \"\(record.kind)\" cannot be encoded: \(error)")
      }
      if !record.supersedes.isEmpty {
        superseded.append(JournalRange(machine: machine, task: record.task, kinds: record.supersedes))
      }
    }
    try await append(entries, replacing: superseded)
  }

  /// A machine's records, in order.
  package func records<R: MachineRecord>(_: R.Type, machine: String) throws(StorageError) -> [(at: Instant, record: R)] {
    var records: [(at: Instant, record: R)] = []
    for entry in try entries(machine: machine) {
      do {
        records.append((Instant(milliseconds: entry.at), try JSON.decode(R.self, from: entry.body)))
      } catch {
        throw .corrupt("the journal of \(machine) holds a record \"\(entry.kind)\" that is not understood: \(JSON.explain(error))")
      }
    }
    return records
  }
}
