import MusterCoordination
import MusterSchema
import Synchronization

/// What the machine wants done that takes time.
enum Order: Sendable {
  /// Fetch the model, train or evaluate, pack the result.
  case train(Job)
  case upload(Job)
  case ask(Job)

  var job: Job {
    switch self {
    case .train(let job), .upload(let job), .ask(let job): job
    }
  }

  func isSame(as other: Order) -> Bool {
    guard job.task == other.job.task, job.isSameWork(as: other.job.key) else { return false }
    return switch (self, other) {
    case (.train, .train), (.upload, .upload), (.ask, .ask): true
    default: false
    }
  }
}

/// An order under way: how it is stopped, and how its pauses are cut short.
final class OrderControl: Sendable {
  /// Rung when the order is not wanted any more.
  let stop = Bell()
  /// Rung when the far side may be back.
  let hurry = Bell()
}

/// The orders of a device, one at a time. Bounded by itself: at most one order of each kind for each job, and jobs that are dropped take their
/// orders along.
final class OrderBook: Sendable {
  private struct State {
    var queue: [Order] = []
    var current: (order: Order, control: OrderControl)?
  }

  private let state = Mutex(State())
  private let bell = Bell()

  /// An order that is under way already is only hurried.
  func place(_ order: Order) {
    let hurried = state.withLock { state -> OrderControl? in
      if let current = state.current, current.order.isSame(as: order) { return current.control }
      state.queue.removeAll { $0.isSame(as: order) }
      state.queue.append(order)
      return nil
    }
    if let hurried { hurried.hurry.ring() } else { bell.ring() }
  }

  /// - Returns: whether something of the job is under way, which will end soon.
  func cancel(_ task: TaskID, _ key: RoundKey) -> Bool {
    let control = state.withLock { state in
      state.queue.removeAll { $0.job.task == task && $0.job.isSameWork(as: key) }
      return state.current.flatMap { $0.order.job.task == task && $0.order.job.isSameWork(as: key) ? $0.control : nil }
    }
    control?.stop.ring()
    return control != nil
  }

  /// Ends the order before, and waits for the next one; nil when the task is cancelled.
  func next() async -> (order: Order, control: OrderControl)? {
    state.withLock { $0.current = nil }
    while !Task.isCancelled {
      let next = state.withLock { state -> (Order, OrderControl)? in
        guard !state.queue.isEmpty else { return nil }
        state.current = (state.queue.removeFirst(), OrderControl())
        return state.current
      }
      if let next { return next }
      await bell.wait()
    }
    return nil
  }
}
