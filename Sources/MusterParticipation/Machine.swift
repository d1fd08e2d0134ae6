package import MusterSchema

/// A protocol machine: a value that turns events into records and effects. The shell or simulation that drives it owns time, storage and
/// network.
package protocol Machine: Sendable {
  associatedtype Event: Sendable
  associatedtype Record: MachineRecord
  associatedtype Effect: Sendable

  /// Handles one event.
  ///
  /// - Parameter now: the machine's own time.
  /// - Returns: the records to commit, and the effects to perform once they are committed.
  mutating func handle(_ event: Event, at now: Instant) -> (records: [Record], effects: [Effect])

  /// When the machine next needs a tick because of time alone; `nil` if it does not need one.
  var nextDeadline: Instant? { get }

  static var tick: Event { get }

  /// The event for a record that can never be stored: its task fails with that reason, so that other tasks can continue.
  ///
  /// - Parameter bare: do not write the records of what became of the task's contributions, because one of those cannot be stored.
  static func unstorable(_ task: TaskID, reason: String, bare: Bool) -> Event
}

/// A change of a machine's state that must survive a restart.
package protocol MachineRecord: Codable, Hashable, Sendable {
  var task: TaskID { get }
  /// The record's name in the journal.
  var kind: String { get }
  /// Kinds of earlier records of the same task that this record replaces.
  var supersedes: [String] { get }
}

extension Participant: Machine {
  package static var tick: Event { .tick }
  package static func unstorable(_ task: TaskID, reason: String, bare: Bool) -> Event { .unstorable(task, reason: reason) }
}

extension Participant.Record: MachineRecord {
  package var kind: String {
    switch self {
    case .taken: "taken"
    case .ready: "ready"
    case .delivered: "delivered"
    case .dropped: "dropped"
    }
  }

  package var supersedes: [String] {
    switch self {
    case .taken: ["taken", "ready"]
    case .ready: ["ready"]
    case .delivered, .dropped: ["taken", "ready", "delivered", "dropped"]
    }
  }
}
