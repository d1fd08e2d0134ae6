import MusterParticipation
import MusterSchema

/// A machine for these tests: keeps an amount for each task, and wants a tick at its alarm.
struct Ledger: Machine {
  enum Event: Hashable, Sendable {
    /// Makes a record for each task.
    case add([TaskID], Int)
    /// Makes an effect and no record.
    case look(TaskID)
    case wake(Instant)
    /// Sets an alarm that stays set after it has rung and has no result.
    case sleepBadly(Instant)
    case end(TaskID, bare: Bool)
    case tick
  }

  struct Record: MachineRecord {
    var task: TaskID
    var amount: Int
    var kind = "added"
    var supersedes: [String] { [] }
  }

  enum Effect: Hashable, Sendable {
    case says(TaskID, Int)
    case rang
  }

  private(set) var amounts: [TaskID: Int] = [:]
  private(set) var ended: [TaskID] = []
  private(set) var nextDeadline: Instant?
  private var isBroken = false

  mutating func handle(_ event: Event, at now: Instant) -> (records: [Record], effects: [Effect]) {
    switch event {
    case .add(let tasks, let amount):
      let open = tasks.filter { !ended.contains($0) }
      for task in open { amounts[task, default: 0] += amount }
      return (open.map { Record(task: $0, amount: amount) }, open.map { .says($0, amounts[$0] ?? 0) })
    case .look(let task): return ([], [.says(task, amounts[task] ?? 0)])
    case .wake(let instant):
      nextDeadline = instant
      return ([], [])
    case .sleepBadly(let instant):
      (nextDeadline, isBroken) = (instant, true)
      return ([], [])
    case .end(let task, let bare):
      ended.append(task)
      return ([Record(task: task, amount: 0, kind: bare ? "bare end" : "end")], [.says(task, -1)])
    case .tick:
      guard let deadline = nextDeadline, deadline <= now, !isBroken else { return ([], []) }
      nextDeadline = nil
      return ([], [.rang])
    }
  }

  static var tick: Event { .tick }
  static func unstorable(_ task: TaskID, reason: String, bare: Bool) -> Event { .end(task, bare: bare) }
}

extension TaskID {
  static let a = TaskID(unchecked: "a")
  static let b = TaskID(unchecked: "b")
  static let c = TaskID(unchecked: "c")
}
