internal import MusterCoordination
internal import MusterShell

/// A piece of a server's long work. It takes some time, waits while the disk is full, and is done once its result is durable.
struct SimulatedWork<Event> {
  let key: WorkKey
  /// Makes the result.
  let result: () -> Event
  /// Tells the machine what the work waits for.
  let delayed: (_ reason: String) -> Event
  let failed: (_ reason: String) -> Event
}

extension World {
  /// The reason for which long work waits.
  static var diskFull: String { "the disk is full" }
}

extension ServerDriver {
  typealias WorkEnd = WorkQueue<WorkKey, LongWork<SimulatedWork<M.Event>>>.End

  /// Does the same as `LongWork.carryOut` of the servers, with a full disk as the only trouble.
  ///
  /// - Parameter done: called unless the process dies meanwhile.
  func carryOut(_ work: LongWork<SimulatedWork<M.Event>>, _ done: @escaping (WorkEnd) -> Void) {
    after(world.random.within(world.workTime)) { [unowned self] in
      let fold = work.item
      guard disk.isFailing else { return handOver(fold.result(), work) { done(.finished) } }
      var again = work
      guard let pause = again.pause(after: .passing) else { return handOver(fold.failed(World.diskFull), work) { done(.finished) } }
      post(fold.delayed(World.diskFull))
      done(.again(again, after: pause))
    }
  }

  private func handOver(_ event: M.Event, _ work: LongWork<SimulatedWork<M.Event>>, _ done: @escaping () -> Void) {
    post(event) { [unowned self] outcome in
      guard let pause = work.pause(afterReport: outcome == .committed) else { return done() }
      after(Int64(pause * 1000)) { [unowned self] in handOver(event, work, done) }
    }
  }

  /// Calls the closure later, unless the process dies meanwhile.
  func after(_ milliseconds: Int64, _ action: @escaping () -> Void) {
    let life = life
    world.after(milliseconds) { [unowned self] _ in if isUp, self.life == life { action() } }
  }
}
