package import MusterCoordination
package import MusterParticipation
internal import MusterSchema
internal import MusterShell

/// Carries out the effects of a server's machine.
protocol ServerPerformer<M>: AnyObject {
  associatedtype M: Machine
  var name: String { get }
  /// Called first, when records have become durable.
  func committed(_ records: [M.Record], at instant: Instant, before: M)
  func perform(_ effect: M.Effect, of machine: M)
  /// When something that had to wait is due.
  var next: Instant? { get }
  /// Called when a batch's effects have all been performed, or ``next`` has come.
  func performed(of machine: M)
  func failed(_ events: [M.Event], areDropped: Bool)
  /// Called when the process has died at one of the driver's boundaries.
  func died(power: Bool)
}

/// Drives the ``Inbox`` and ``Committer`` of a server in the simulated world, as `MusterServer.Shell` does in a real process. The process
/// can die between any two steps: before a commit, between a commit and its effects, and after each effect.
package final class ServerDriver<M: Machine> where M.Record: HistoricRecord {
  enum Outcome { case committed, failed, busy }
  typealias Sender = (Outcome) -> Void
  private typealias Batch = Committer<M, Sender>.Batch

  package internal(set) var disk = ServerDisk<M.Record>()
  package private(set) var isUp = false
  /// Incremented at each start. Work that was started before the current one has no effect on it.
  package private(set) var life = 0
  /// The process dies at the n-th boundary from now.
  var diesAtBoundary: Int?
  /// The process dies when its journal holds this many records, even in the middle of a batch.
  package var diesAfterRecords: Int?
  /// Until then the process does nothing without noticing it, as after a SIGSTOP or while the computer swaps.
  var frozenUntil: Int64 = 0

  unowned let world: World
  private unowned var performer: (any ServerPerformer<M>)?
  private let restore: ([ServerDisk<M.Record>.Entry], Instant) -> M
  private var inbox = Inbox<M.Event, Sender>()
  private var committer: Committer<M, Sender>
  private var isScheduled = false
  private var timer = 0
  private var base = Instant.zero
  private var since: Int64 = 0

  init(_ world: World, restore: @escaping ([ServerDisk<M.Record>.Entry], Instant) -> M) {
    self.world = world
    self.restore = restore
    committer = Committer(restore([], .zero))
  }

  func attach(_ performer: any ServerPerformer<M>) { self.performer = performer }

  /// The machine as it is committed.
  package var machine: M { committer.machine }
  var isCommitting: Bool { committer.isStoring }

  /// The machine's own time. It resumes from the last commit, so downtime does not count.
  var now: Instant { Instant(milliseconds: base.milliseconds + world.time - since) }

  // MARK: Life

  func start() {
    var kept = disk.kept
    if world.plants(.forgetsAcceptedOnRestart) { kept.removeAll { $0.record.kind == "contributed" } }
    committer = Committer(restore(kept, disk.lastInstant), faults: world.plan.faults)
    base = world.plants(.clockStartsAgain) ? .zero : disk.lastInstant
    since = world.time
    life += 1
    isUp = true
    inbox = Inbox()
    isScheduled = false
    diesAtBoundary = nil
    frozenUntil = 0
  }

  func die(power: Bool) {
    guard isUp else { return }
    isUp = false
    if power, world.plants(.commitsAreNotSynced) { disk.losePower() }
    performer?.died(power: power)
  }

  /// The machine that the records restore.
  package func replay(_ records: [ServerDisk<M.Record>.Entry]) -> M { restore(records, disk.lastInstant) }

  /// - Returns: false if the process died here.
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

  /// - Returns: false if the event was not taken, because the process is down or its inbox is full.
  @discardableResult
  func post(_ event: M.Event, done: Sender? = nil) -> Bool {
    guard isUp else {
      done?(.busy)
      return false
    }
    if world.plants(.dropsWhatComesWhileCommitting), isCommitting { return true }
    guard inbox.offer(Letter(event, done)) else {
      done?(.busy)
      return false
    }
    world.auditor.bound(inbox.count, 4096, "the inbox of \(performer?.name ?? "")")
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
    let turn = committer.begin(at: now) { inbox.drain($0) }
    if let wasUseful = committer.tickWasUseful { world.auditor.ticked(performer?.name ?? "", wasUseful: wasUseful) }
    switch turn {
    case .idle:
      if let next = performer?.next, next <= now { performer?.performed(of: machine) }
      arm()
    case .perform(let batch): finish(batch)
    case .store(let records): commit(records, at: now)
    }
  }

  private func commit(_ records: [M.Record], at now: Instant) {
    guard boundary("before a commit") else { return }
    let life = life
    // The outcome of the transaction is decided at this moment; its answer follows.
    let latency = world.random.within(disk.latency)
    world.after(latency * 2 / 3) { _ in
      guard self.isUp, self.life == life else { return }
      if self.disk.isFailing { return self.commitFailed(records) }
      if let isPoison = self.world.unstorable, let poison = records.first(where: { isPoison($0.task, $0.kind) }) {
        return self.refused(poison.task)
      }
      self.write(records, at: now)
      guard self.isUp else { return }
      self.world.after(latency - latency * 2 / 3) { _ in
        guard self.isUp, self.life == life else { return }
        guard self.boundary("between a commit and its effects") else { return }
        let batch = self.committer.stored()
        if let name = self.performer?.name { self.world.afterCommit?(NodeID(unchecked: name)) }
        self.finish(batch)
      }
    }
  }

  private func write(_ records: [M.Record], at now: Instant) {
    if world.plants(.commitsAreNotSynced), world.time % 8 == 0 { disk.sync() }
    if let last = diesAfterRecords, disk.journal.count + records.count >= last {
      diesAfterRecords = nil
      var count = last - disk.journal.count
      // A record that only the history holds is never written without the record that restores its change.
      while count < records.count, count > 0, !records[count - 1].isJournaled { count += 1 }
      disk.commit(Array(records.prefix(count)), at: now)
      performer?.committed(Array(records.prefix(count)), at: now, before: machine)
      return die(power: false)
    }
    let forgets = world.plants(.attemptForgetsAccepted)
    disk.commit(records, at: now) { record in forgets && record.kind == "opened" ? ["contributed"] : [] }
    performer?.committed(records, at: now, before: machine)
  }

  private func refused(_ task: TaskID) {
    world.note(.fault, performer?.name ?? "", "has a record of \(task) that can never be stored")
    switch committer.refused(task, reason: "a record cannot be encoded", at: now) {
    case .halved, .ends: break
    case .dropped(let batch): tellFailure(batch, areDropped: true)
    }
    continueOrWait()
  }

  private func commitFailed(_ records: [M.Record]) {
    world.note(.fault, performer?.name ?? "", "cannot commit \(records.count) records")
    let batch = committer.failed(at: now)
    for effect in batch.effects where isUp { performer?.perform(effect, of: machine) }
    tellFailure(batch, areDropped: false)
    continueOrWait()
  }

  private func tellFailure(_ batch: Batch, areDropped: Bool) {
    performer?.failed(batch.events, areDropped: areDropped)
    for sender in batch.senders { sender(.failed) }
  }

  private func finish(_ batch: Batch) {
    for effect in batch.effects {
      performer?.perform(effect, of: machine)
      guard isUp, boundary("after an effect") else { return }
    }
    performer?.performed(of: machine)
    for sender in batch.senders { sender(.committed) }
    continueOrWait()
  }

  private func continueOrWait() {
    if inbox.isEmpty && !committer.hasParts { arm() } else { schedule() }
  }

  // MARK: Time

  /// Arranges to wake the machine at its next deadline.
  private func arm() {
    timer += 1
    guard isUp, let due = [committer.due, performer?.next].compactMap({ $0 }).min() else { return }
    let (timer, life) = (timer, life)
    let time = since + due.milliseconds - base.milliseconds
    world.at(max(time, world.time + 1)) { _ in
      guard self.timer == timer, self.life == life, self.isUp else { return }
      self.process()
    }
  }
}
