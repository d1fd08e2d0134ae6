package import MusterParticipation
package import MusterSchema

/// Commits the records that a machine makes of its letters, one batch at a time, and releases no effect before its batch is stored.
///
/// A value without I/O or clock. The driver calls ``begin(at:letters:)``. When that asks it to store records, the driver stores them in one
/// transaction and calls ``stored()``, ``failed(at:)`` or ``refused(_:at:)``: the effects of a batch leave the value only through
/// ``stored()``. A failed transaction leaves the machine as it was. A record that can never be stored ends its own task and no other: the
/// batch is halved until the letter behind the record stands alone.
package struct Committer<M: Machine, Sender> {
  package typealias Letters = [Letter<M.Event, Sender>]

  /// What the driver does next.
  package enum Turn {
    /// Wait for a letter, or until this time of the machine's clock; `nil` waits for a letter only.
    case idle(until: Instant?)
    /// Store the records in one transaction, and report how that went.
    case store([M.Record])
    /// Nothing had to be stored: perform the effects.
    case perform(Batch)
  }

  /// A batch that has left the committer.
  package struct Batch {
    /// To be performed in order, with ``Committer/machine``.
    package var effects: [M.Effect] = []
    /// The events of the batch.
    package var events: [M.Event] = []
    /// To be told the outcome after the effects are performed.
    package var senders: [Sender] = []
  }

  /// How a batch with a record that can never be stored is handled.
  package enum Refusal {
    /// The batch was halved; the next turns handle its halves.
    case halved
    /// One letter is left. The next turn ends the record's task, and the turn after that tries the letter once more.
    case ends(TaskID)
    /// The batch is dropped, because even ending the task did not help.
    case dropped(Batch)
  }

  /// Letters that are committed together.
  fileprivate struct Part {
    var letters: Letters
    /// Tasks that were ended so that these letters can be committed.
    var ended: Set<TaskID> = []
    /// The task that this part ends, because one of its records can never be stored.
    var ends: TaskID?
    /// Whether the task ends without the records of its contributions.
    var isBare = false
  }

  fileprivate struct Pending {
    var part: Part
    var next: M
    var records: [M.Record]
    var effects: [M.Effect]
  }

  /// The machine as it is committed. This is the one that readers see.
  package private(set) var machine: M
  /// Set by ``begin(at:letters:)``: whether the turn's tick made a record or an effect, moved the deadline, or shared its batch with
  /// letters; `nil` if the turn had no tick.
  package private(set) var tickWasUseful: Bool?
  private var parts: [Part] = []
  private var pending: Pending?
  /// With ``PlantedFaults/effectsBeforeCommit``: a transaction whose effects were released already.
  private var early: Pending?
  /// When ticks are tried again after a failed commit.
  private var retryAt: Instant?
  private let faults: PlantedFaults

  /// Maximum number of letters that are committed together.
  package static var batch: Int { 512 }
  /// Seconds that ticks wait after a failed commit.
  package static var pause: Double { 1 }

  package init(_ machine: M, faults: PlantedFaults = []) {
    self.machine = machine
    self.faults = faults
  }

  /// Whether a transaction is under way.
  package var isStoring: Bool { pending != nil }
  /// Whether parts of a halved batch wait for their turn, before any new letter.
  package var hasParts: Bool { !parts.isEmpty || early != nil }

  /// When a tick is due: a millisecond after the machine's deadline, because the machine's time is truncated to milliseconds.
  package var due: Instant? {
    guard !faults.contains(.forgetsTimers) else { return nil }
    return machine.nextDeadline.map { max($0.advanced(bySeconds: 0.001), retryAt ?? .zero) }
  }

  /// The next step. Must not be called while a transaction is under way.
  ///
  /// - Parameter letters: removes letters from the inbox, at most as many as it is asked for. Called only when new ones are wanted.
  package mutating func begin(at now: Instant, letters: (Int) -> Letters) -> Turn {
    precondition(pending == nil, "a transaction is under way")
    tickWasUseful = nil
    if let early {
      (self.early, pending) = (nil, early)
      return .store(early.records)
    }
    guard let part = nextPart(at: now, letters) else { return .idle(until: due) }
    let (next, records, effects) = handle(part.letters, at: now)
    if tickWasUseful != nil {
      let hasMoved = next.nextDeadline.map { $0 > now } ?? true
      tickWasUseful = part.letters.count > 1 || !records.isEmpty || !effects.isEmpty || hasMoved
    }
    guard !records.isEmpty else {
      machine = next
      return .perform(batch(part, effects))
    }
    if faults.contains(.effectsBeforeCommit) {
      early = Pending(part: part, next: next, records: records, effects: [])
      return .perform(Batch(effects: effects))
    }
    pending = Pending(part: part, next: next, records: records, effects: effects)
    return .store(records)
  }

  /// Reports that the transaction is durable.
  package mutating func stored() -> Batch {
    let pending = take()
    machine = pending.next
    retryAt = nil
    return batch(pending.part, pending.effects)
  }

  /// Reports that the transaction failed for a reason that may pass. The machine is as it was, and the senders are to be told. If the
  /// transaction was to end a task because of a letter, that letter fails with it.
  package mutating func failed(at now: Instant) -> Batch {
    let pending = take()
    retryAt = now.advanced(bySeconds: Self.pause)
    if faults.contains(.failedCommitKeepsState) { machine = pending.next }
    var failed = batch(pending.part, faults.contains(.failedCommitHasEffects) ? pending.effects : [])
    if pending.part.ends != nil, !parts.isEmpty {
      let blamed = batch(parts.removeFirst(), [])
      failed.events += blamed.events
      failed.senders += blamed.senders
    }
    return failed
  }

  /// Reports that the driver stops: nothing more is committed.
  ///
  /// - Returns: senders of letters that were taken and not committed.
  package mutating func abandon() -> [Sender] {
    defer { (parts, pending, early) = ([], nil, nil) }
    return ([pending?.part].compactMap { $0 } + parts).flatMap { $0.letters.compactMap(\.sender) }
  }

  /// Reports that the transaction failed because a record of this task can never be stored.
  ///
  /// - Parameter reason: why it cannot be stored, for people.
  package mutating func refused(_ task: TaskID?, reason: String, at now: Instant) -> Refusal {
    if faults.contains(.poisonIsRetried) { return .dropped(failed(at: now)) }
    let part = take().part
    if part.letters.count > 1 {
      let middle = part.letters.count / 2
      let halves = [part.letters[..<middle], part.letters[middle...]].map { Part(letters: Array($0)) }
      parts.insert(contentsOf: halves, at: 0)
      return .halved
    }
    if let task, part.ends == task, !part.isBare {
      parts.insert(ending(task, reason, isBare: true), at: 0)
      return .ends(task)
    }
    if let task, part.ends == nil, !part.ended.contains(task) {
      var again = part
      again.ended.insert(task)
      parts.insert(contentsOf: [ending(task, reason, isBare: false), again], at: 0)
      return .ends(task)
    }
    return .dropped(batch(part, []))
  }

  private mutating func take() -> Pending {
    guard let pending else { preconditionFailure("no transaction is under way") }
    self.pending = nil
    return pending
  }

  private func batch(_ part: Part, _ effects: [M.Effect]) -> Batch {
    Batch(effects: effects, events: part.letters.map(\.event), senders: part.letters.compactMap(\.sender))
  }

  private func ending(_ task: TaskID, _ reason: String, isBare: Bool) -> Part {
    Part(letters: [Letter(M.unstorable(task, reason: reason, bare: isBare))], ends: task, isBare: isBare)
  }

  /// A part of a halved batch, or new letters together with a tick if one is due.
  private mutating func nextPart(at now: Instant, _ letters: (Int) -> Letters) -> Part? {
    if !parts.isEmpty { return parts.removeFirst() }
    var batch = letters(Self.batch)
    if let due, due <= now {
      batch.append(Letter(M.tick))
      tickWasUseful = true
    }
    return batch.isEmpty ? nil : Part(letters: batch)
  }

  private func handle(_ letters: Letters, at now: Instant) -> (next: M, records: [M.Record], effects: [M.Effect]) {
    var next = machine
    var records: [M.Record] = []
    var effects: [M.Effect] = []
    for letter in letters {
      let step = next.handle(letter.event, at: now)
      records += step.records
      effects += step.effects
    }
    return (next, records, effects)
  }
}

extension Committer: Sendable where Sender: Sendable {}
extension Committer.Batch: Sendable where Sender: Sendable {}
extension Committer.Part: Sendable where Sender: Sendable {}
extension Committer.Pending: Sendable where Sender: Sendable {}
