import MusterParticipation
package import MusterSchema

extension Coordinator: Machine {
  package static var tick: Event { .tick }
  package static func unstorable(_ task: TaskID, reason: String, bare: Bool) -> Event { .unstorable(task, reason: reason, bare: bare) }
}

extension Coordinator.Record: MachineRecord {
  package var kind: String {
    switch self {
    case .accepted: "accepted"
    case .forwarded: "forwarded"
    case .revised: "revised"
    case .published: "published"
    case .opened: "opened"
    case .contributed: "contributed"
    case .closed: "closed"
    case .reopened: "reopened"
    case .combined: "combined"
    case .evaluated: "evaluated"
    case .completed: "completed"
    case .missed: "missed"
    case .summarized: "summarized"
    case .ended: "ended"
    case .forgotten: "forgotten"
    case .retired: "retired"
    }
  }

  /// All revisions of a descriptor stay, and there are few: an order can lie between two of them, and a pause shifts the order's deadline.
  package var supersedes: [String] {
    switch self {
    case .summarized:
      ["published", "opened", "contributed", "closed", "reopened", "combined", "evaluated", "completed", "summarized"]
    // A scout keeps only its newest order and the records that belong to it.
    case .opened(_, let opening) where opening.order != nil && opening.continues != true: ["opened", "contributed", "closed", "combined"]
    case .forgotten, .retired:
      [
        "accepted", "forwarded", "revised", "published", "opened", "contributed", "closed", "reopened", "combined", "evaluated",
        "completed", "summarized", "ended", "forgotten", "retired",
      ]
    default: []
    }
  }
}
