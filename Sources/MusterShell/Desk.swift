package import MusterCoordination
package import MusterParticipation
package import MusterSchema

/// Translates the effects of a server's machine into commands for its driver: what is published on which topic, with which ticket, at most how
/// often, and which long work is queued under which key.
package protocol Desk<M>: Sendable {
  associatedtype M: ServerMachine
  associatedtype Item: WorkItem
  /// Commands that only this desk has.
  associatedtype Own: Sendable

  var faults: PlantedFaults { get }

  /// - Parameter machine: as it was committed with the effect.
  /// - Returns: `nil` when there is nothing to do, or not yet.
  mutating func command(for effect: M.Effect, of machine: M) -> DeskCommand<Item, Own>?

  /// When ``due(of:at:)`` has something.
  var next: Instant? { get }

  /// The commands that had to wait, because a topic is written at most once a second.
  mutating func due(of machine: M, at now: Instant) -> [DeskCommand<Item, Own>]

  /// The publications that answer a message on a task's own topic: the descriptor again, or the clearing of both task topics.
  mutating func repair(_ found: FoundDescriptor, of task: TaskID, owed machine: M) -> [Publication]
}

extension Desk {
  /// Whether to read all topics again, because these events were lost with their batch.
  ///
  /// - Parameter areDropped: whether a record of them can never be stored, so that the same events would be dropped again.
  package func readsTopicsAgain(after lost: [M.Event], areDropped: Bool) -> Bool {
    !areDropped && lost.contains { !$0.isRepeated } && !faults.contains(.lostTopicsAreNotReadAgain)
  }
}

/// What the driver of a server's machine does.
package enum DeskCommand<Item: Sendable, Own: Sendable>: Sendable {
  /// On the broker of the server's own nodes.
  case publish(Publication)
  case work(WorkKey, Item)
  case answer(Coordinator.Reply, Coordinator.Answer)
  /// Keep these blobs. Others that lost their last reference may go.
  case collect(Set<Digest>)
  /// To be logged: this number of nodes was forgotten, because of the upper bound on remembered nodes.
  case evicted(Int, of: Int)
  case own(Own)
}
