internal import MusterShell

/// A piece of a server's long work: it takes its time, waits while the disk is full, and is done once its result is durable.
struct Fold {
  let key: WorkKey
  /// Reports what came of it; an error is what the disk said.
  let finish: (_ trouble: String?, _ done: @escaping () -> Void) -> Void

  static let diskFull = "the disk is full"

  /// Runs a piece in a process that may end meanwhile.
  ///
  /// - Parameters:
  ///   - isFull: whether its disk is, now.
  ///   - isAlive: whether the life that it began in goes on.
  func run(
    in world: World, isFull: @escaping () -> Bool, isAlive: @escaping () -> Bool, attempt: Int = 1, _ done: @escaping () -> Void
  ) {
    let time = attempt > 1 ? Int64(min(30, 1 << min(attempt, 5))) * 1000 : world.random.within(world.workTime)
    world.after(time) { world in
      guard isAlive() else { return }
      guard isFull() else { return self.finish(nil, done) }
      if world.plants(.fullDiskEndsWork) { return self.finish(Self.diskFull, done) }
      self.run(in: world, isFull: isFull, isAlive: isAlive, attempt: attempt + 1, done)
    }
  }
}
