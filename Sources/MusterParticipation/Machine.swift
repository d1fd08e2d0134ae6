package import MusterSchema

/// A protocol machine: a value that turns events into records and effects. What runs it (a shell, a simulation) owns time, storage and network.
package protocol Machine: Sendable {
  associatedtype Event: Sendable
  associatedtype Record: MachineRecord
  associatedtype Effect: Sendable

  /// - Parameter now: the machine's own time.
  /// - Returns: what must be durable before anything else happens, and what happens then.
  mutating func handle(_ event: Event, at now: Instant) -> (records: [Record], effects: [Effect])

  /// When time alone makes something due: the machine wants a tick then.
  var nextDeadline: Instant? { get }

  static var tick: Event { get }

  /// A record of the task can never be stored: the task ends with that reason, so that the others go on.
  ///
  /// - Parameter bare: without the records that say what became of its contributions, for one of those is what cannot be stored.
  static func unstorable(_ task: TaskID, reason: String, bare: Bool) -> Event
}

/// What must survive of a machine.
package protocol MachineRecord: Codable, Hashable, Sendable {
  var task: TaskID { get }
  /// The record's name in the journal.
  var kind: String { get }
  /// Kinds of earlier records of the same task that this one makes superfluous.
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
