import MusterGround
import MusterParticipation
import MusterSchema
import Synchronization

/// The means to stop an order that is under way, and to cut its pauses short.
final class OrderControl: Sendable {
  /// Rung when the order is no longer wanted.
  let stop = Bell()
  /// Rung when the server may be reachable again.
  let hurry = Bell()
}

/// The agent's ``OrderBook``. The shell places orders, and the worker takes them.
final class Orders: Sendable {
  private let state = Mutex<(book: OrderBook, control: OrderControl)>((OrderBook(), OrderControl()))
  private let bell = Bell()

  /// Places an order. If the same order is under way already, its pause is cut short instead.
  func place(_ kind: OrderBook.Kind, _ job: Job) {
    let (placement, control) = state.withLock { ($0.book.place(OrderBook.Order(kind, job)), $0.control) }
    switch placement {
    case .waits: bell.ring()
    case .hurries: control.hurry.ring()
    }
  }

  /// - Returns: whether an order of the job is under way. It is told to stop and ends soon.
  func cancel(_ task: TaskID, _ key: RoundKey) -> Bool {
    let (isUnderWay, control) = state.withLock { ($0.book.cancel(task, key), $0.control) }
    if isUnderWay { control.stop.ring() }
    return isUnderWay
  }

  /// Ends the previous order and waits for the next one; `nil` when the task is cancelled.
  func next() async -> (order: OrderBook.Order, control: OrderControl)? {
    state.withLock { $0.book.end() }
    while !Task.isCancelled {
      let next = state.withLock { state -> (OrderBook.Order, OrderControl)? in
        guard let order = state.book.take() else { return nil }
        state.control = OrderControl()
        return (order, state.control)
      }
      if let next { return next }
      await bell.wait()
    }
    return nil
  }
}
