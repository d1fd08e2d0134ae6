internal import MusterCoordination
internal import MusterSchema

/// A piece of a server's long work: it takes its time, waits while the disk is full, and is done once its result is durable.
struct Fold {
  /// What it is for; two that differ are two pieces of work.
  struct ID: Hashable {
    var kind: Coordinator.Work
    var task: TaskID
    /// At a region the order that it is for; at central the round alone.
    var key: RoundKey
    var contributions: Int
  }

  let id: ID
  /// Reports what came of it; an error is what the disk said.
  let finish: (_ trouble: String?, _ done: @escaping () -> Void) -> Void

  /// As the servers' queues know it: a planted bug leaves out what tells one round's work from another's.
  func queueKey(_ world: World) -> ID {
    guard world.plants(.workKeyHasNoRound) else { return id }
    return ID(kind: id.kind, task: id.task, key: RoundKey(round: 0, phase: .train, attempt: 0), contributions: 0)
  }

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
