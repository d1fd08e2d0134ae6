internal import MusterCoordination
internal import MusterShell

/// A piece of a server's long work: it takes its time, waits while the disk is full, and is done once its result is durable.
struct Fold<Event> {
  let key: WorkKey
  /// What it gives.
  let result: () -> Event
  /// Tells the machine what the work waits for.
  let delayed: (_ reason: String) -> Event
  let failed: (_ reason: String) -> Event
}

extension World {
  /// Why long work waits.
  static var diskFull: String { "the disk is full" }
}

extension ServerDriver {
  /// As `LongWork.carryThrough` of the servers; a full disk is the only trouble.
  ///
  /// - Parameter done: called unless the process dies meanwhile.
  func carryThrough(_ fold: Fold<M.Event>, _ done: @escaping () -> Void) {
    attempt(fold, LongWork(faults: world.plan.faults), done)
  }

  private func attempt(_ fold: Fold<M.Event>, _ work: LongWork, _ done: @escaping () -> Void) {
    after(world.random.within(world.workTime)) { [unowned self] in
      guard disk.isFailing else { return report(fold.result(), work, done) }
      var work = work
      guard let pause = work.pause(after: .passing) else { return report(fold.failed(World.diskFull), work, done) }
      post(fold.delayed(World.diskFull))
      after(Int64(pause * 1000)) { [unowned self] in attempt(fold, work, done) }
    }
  }

  private func report(_ event: M.Event, _ work: LongWork, _ done: @escaping () -> Void) {
    post(event) { [unowned self] outcome in
      guard let pause = work.pause(afterReport: outcome == .committed) else { return done() }
      after(Int64(pause * 1000)) { [unowned self] in report(event, work, done) }
    }
  }

  /// Unless the process dies meanwhile.
  private func after(_ time: Int64, _ action: @escaping () -> Void) {
    let life = life
    world.after(time) { [unowned self] _ in if isUp, self.life == life { action() } }
  }
}
