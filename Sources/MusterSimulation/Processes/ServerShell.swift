package import MusterCoordination
internal import MusterSchema

/// What carries out the effects of a server's machine.
protocol ServerPerformer<M>: AnyObject {
  associatedtype M: Machine
  var name: String { get }
  /// Before anything else: what became durable.
  func committed(_ records: [M.Record], at instant: Instant, before: M)
  func perform(_ effect: M.Effect, of machine: M)
  /// A batch's effects are all performed.
  func performed(of machine: M)
  func failed(_ events: [M.Event], isFirst: Bool)
  /// It died, at one of the shell's boundaries.
  func died(power: Bool)
}

/// A server's shell as `MusterRuntime` has it: drains its mailbox, commits the records of the batch in one transaction, then has the effects
/// performed. Between each two of these steps it can die.
package final class ServerShell<M: Machine> {
  enum Outcome { case committed, failed, busy }
  typealias Letter = (event: M.Event, done: ((Outcome) -> Void)?)

  /// Events that are committed together.
  private struct Batch {
    var letters: [Letter]
    var isTick = false
    /// Tasks that were ended for this one's sake.
    var ended: Set<TaskID> = []
    /// It is the end of a task whose record can never be stored.
    var ends: TaskID?
    var isBare = false

    static func ending(_ task: TaskID, bare: Bool) -> Batch {
      Batch(letters: [(M.unstorable(task, reason: "a record cannot be encoded", bare: bare), nil)], ends: task, isBare: bare)
    }
  }

  package private(set) var machine: M
  package internal(set) var disk = ServerDisk<M.Record>()
  package private(set) var isUp = false
  /// Grows with each start: what an earlier life began is nobody's any more.
  package private(set) var life = 0
  /// Dies at the n-th boundary from now: before a commit, after it, and after each effect.
  var diesAtBoundary: Int?
  /// Dies when its journal holds so many records, in the middle of a batch too.
  package var diesAfterRecords: Int?
  /// Stopped, and not told: SIGSTOP, or a machine that swaps.
  var frozenUntil: Int64 = 0

  unowned let world: World
  private unowned var performer: (any ServerPerformer<M>)?
  private let restore: ([ServerDisk<M.Record>.Entry]) -> M
  private var mailbox: [Letter] = []
  /// Of a batch that was split.
  private var parts: [Batch] = []
  private(set) var isCommitting = false
  private var isScheduled = false
  private var timer = 0
  private var base = Instant.zero
  private var since: Int64 = 0
  private var retryAt: Int64?
  private var idleTicks = 0

  static var batch: Int { 512 }

  init(_ world: World, restore: @escaping ([ServerDisk<M.Record>.Entry]) -> M) {
    self.world = world
    self.restore = restore
    machine = restore([])
  }

  func attach(_ performer: any ServerPerformer<M>) { self.performer = performer }

  /// The machine's own time: resumed from the last commit, so that downtime spends nothing.
  var now: Instant { Instant(milliseconds: base.milliseconds + world.time - since) }

  // MARK: Life

  func start() {
    var kept = disk.kept
    if world.plants(.forgetsAcceptedOnRestart) { kept.removeAll { $0.record.kind == "contributed" } }
    machine = restore(kept)
    base = world.plants(.clockStartsAgain) ? .zero : disk.lastInstant
    since = world.time
    life += 1
    isUp = true
    mailbox = []
    parts = []
    isCommitting = false
    isScheduled = false
    diesAtBoundary = nil
    retryAt = nil
    frozenUntil = 0
  }

  func die(power: Bool) {
    guard isUp else { return }
    isUp = false
    if power, world.plants(.commitsAreNotSynced) { disk.losePower() }
    performer?.died(power: power)
  }

  /// The machine as its records give it back.
  package func replay(_ records: [ServerDisk<M.Record>.Entry]) -> M { restore(records) }

  /// - Returns: false when it died here.
  private func boundary(_ what: @autoclosure () -> String) -> Bool {
    guard let left = diesAtBoundary else { return true }
    diesAtBoundary = left - 1
    guard left <= 1 else { return true }
    diesAtBoundary = nil
    world.note(.fault, performer?.name ?? "", "dies \(what())")
    die(power: world.random.chance(0.5))
    return false
  }

  // MARK: Events

  /// False when it is not taken.
  @discardableResult
  func post(_ event: M.Event, done: ((Outcome) -> Void)? = nil) -> Bool {
    guard isUp else {
      done?(.busy)
      return false
    }
    if world.plants(.dropsWhatComesWhileCommitting), isCommitting { return true }
    mailbox.append((event, done))
    world.auditor.bound(mailbox.count, 4096, "the mailbox of \(performer?.name ?? "")")
    schedule()
    return true
  }

  private func schedule() {
    guard !isScheduled, !isCommitting, isUp else { return }
    isScheduled = true
    let life = life
    world.at(max(world.time, frozenUntil)) { _ in
      guard self.isUp, self.life == life else { return }
      self.isScheduled = false
      self.process()
    }
  }

  private func process() {
    guard !isCommitting else { return }
    if frozenUntil > world.time { return schedule() }
    let now = now
    guard let batch = nextBatch() else { return arm() }
    let (next, records, effects) = handle(batch.letters.map(\.event), at: now)
    if batch.isTick {
      world.auditor.ticked(
        performer?.name ?? "",
        wasUseful: batch.letters.count > 1 || !records.isEmpty || !effects.isEmpty || next.nextDeadline.map { $0 > now } ?? true)
    }
    guard !records.isEmpty else {
      finish(batch, next, effects)
      return
    }
    if world.plants(.effectsBeforeCommit) {
      for effect in effects {
        performer?.perform(effect, of: next)
        guard isUp else { return }
      }
      commit(batch, next, records, [], at: now)
    } else {
      commit(batch, next, records, effects, at: now)
    }
  }

  /// What is processed next: a part of a batch that was split, or what has come since, with the tick that is due.
  private func nextBatch() -> Batch? {
    if !parts.isEmpty { return parts.removeFirst() }
    let isDue = dueTime.map { $0 <= world.time } ?? false
    guard !mailbox.isEmpty || isDue else { return nil }
    var letters = mailbox.count <= Self.batch ? mailbox : Array(mailbox.prefix(Self.batch))
    if letters.count == mailbox.count { mailbox = [] } else { mailbox.removeFirst(letters.count) }
    if isDue { letters.append((M.tick, nil)) }
    return Batch(letters: letters, isTick: isDue)
  }

  private func handle(_ events: [M.Event], at now: Instant) -> (next: M, records: [M.Record], effects: [M.Effect]) {
    var next = machine
    var records: [M.Record] = []
    var effects: [M.Effect] = []
    for event in events {
      let step = next.handle(event, at: now)
      records += step.records
      effects += step.effects
    }
    return (next, records, effects)
  }

  private func commit(_ batch: Batch, _ next: M, _ records: [M.Record], _ effects: [M.Effect], at now: Instant) {
    guard boundary("before a commit") else { return }
    isCommitting = true
    let life = life
    // The transaction is decided at this moment; the answer comes after it.
    let latency = world.random.within(disk.latency)
    world.after(latency * 2 / 3) { _ in
      guard self.isUp, self.life == life else { return }
      if self.disk.isFailing { return self.commitFailed(batch, next, records, effects) }
      if let isPoison = self.world.unstorable, let poison = records.first(where: { isPoison($0.task, $0.kind) }) {
        if self.world.plants(.poisonIsRetried) { return self.commitFailed(batch, next, records, effects) }
        return self.split(batch, poison.task)
      }
      self.write(records, at: now)
      guard self.isUp else { return }
      self.world.after(latency - latency * 2 / 3) { _ in
        guard self.isUp, self.life == life else { return }
        self.isCommitting = false
        self.retryAt = nil
        guard self.boundary("between a commit and its effects") else { return }
        self.machine = next
        if let name = self.performer?.name { self.world.afterCommit?(NodeID(unchecked: name)) }
        self.finish(batch, next, effects)
      }
    }
  }

  /// As `MusterRuntime.Shell`: halves what holds a record that can never be stored, until the event that makes it stands alone; its task ends.
  private func split(_ batch: Batch, _ task: TaskID) {
    isCommitting = false
    world.note(.fault, performer?.name ?? "", "has a record of \(task) that can never be stored")
    let letters = batch.letters
    if letters.count > 1 {
      let middle = letters.count / 2
      parts.insert(contentsOf: [Batch(letters: Array(letters[..<middle])), Batch(letters: Array(letters[middle...]))], at: 0)
    } else if batch.ends == task, !batch.isBare {
      parts.insert(.ending(task, bare: true), at: 0)
    } else if batch.ends == nil, !batch.ended.contains(task) {
      var again = batch
      again.ended.insert(task)
      parts.insert(contentsOf: [.ending(task, bare: false), again], at: 0)
    } else {
      performer?.failed(letters.map(\.event), isFirst: true)
      for letter in letters { letter.done?(.failed) }
    }
    continueOrWait()
  }

  private func write(_ records: [M.Record], at now: Instant) {
    if world.plants(.commitsAreNotSynced), world.time % 8 == 0 { disk.sync() }
    if let last = diesAfterRecords, disk.journal.count + records.count >= last {
      diesAfterRecords = nil
      let count = last - disk.journal.count
      disk.commit(Array(records.prefix(count)), at: now)
      performer?.committed(Array(records.prefix(count)), at: now, before: machine)
      return die(power: false)
    }
    let forgets = world.plants(.attemptForgetsAccepted)
    disk.commit(records, at: now) { record in forgets && record.kind == "opened" ? ["contributed"] : [] }
    performer?.committed(records, at: now, before: machine)
  }

  private func commitFailed(_ batch: Batch, _ next: M, _ records: [M.Record], _ effects: [M.Effect]) {
    isCommitting = false
    world.note(.fault, performer?.name ?? "", "cannot commit \(records.count) records")
    let isFirst = retryAt == nil
    retryAt = world.time + 1000
    if world.plants(.failedCommitKeepsState) { machine = next }
    if world.plants(.failedCommitHasEffects) {
      for effect in effects where isUp { performer?.perform(effect, of: next) }
    }
    performer?.failed(batch.letters.map(\.event), isFirst: isFirst)
    for letter in batch.letters { letter.done?(.failed) }
    continueOrWait()
  }

  private func finish(_ batch: Batch, _ next: M, _ effects: [M.Effect]) {
    machine = next
    for effect in effects {
      performer?.perform(effect, of: machine)
      guard isUp, boundary("after an effect") else { return }
    }
    performer?.performed(of: machine)
    for letter in batch.letters { letter.done?(.committed) }
    continueOrWait()
  }

  private func continueOrWait() {
    if mailbox.isEmpty && parts.isEmpty { arm() } else { schedule() }
  }

  // MARK: Time

  private var dueTime: Int64? {
    machine.nextDeadline.map { max(since + $0.milliseconds - base.milliseconds + 1, retryAt ?? 0) }
  }

  /// Wakes the machine at its next deadline.
  private func arm() {
    timer += 1
    guard isUp, let due = dueTime, !world.plants(.forgetsTimers) else { return }
    let (timer, life) = (timer, life)
    world.at(max(due, world.time + 1)) { _ in
      guard self.timer == timer, self.life == life, self.isUp else { return }
      self.process()
    }
  }
}
