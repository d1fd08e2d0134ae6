import MusterGround
import MusterParticipation
import MusterSchema
import Synchronization

/// An order under way: how it is stopped, and how its pauses are cut short.
final class OrderControl: Sendable {
  /// Rung when the order is not wanted any more.
  let stop = Bell()
  /// Rung when the far side may be back.
  let hurry = Bell()
}

/// The agent's ``OrderBook``: placed by the shell, taken by the worker.
final class Orders: Sendable {
  private let state = Mutex<(book: OrderBook, control: OrderControl)>((OrderBook(), OrderControl()))
  private let bell = Bell()

  /// An order that is under way already is only hurried.
  func place(_ kind: OrderBook.Kind, _ job: Job) {
    let (placement, control) = state.withLock { ($0.book.place(OrderBook.Order(kind, job)), $0.control) }
    switch placement {
    case .waits: bell.ring()
    case .hurries: control.hurry.ring()
    }
  }

  /// - Returns: whether something of the job is under way, which will end soon.
  func cancel(_ task: TaskID, _ key: RoundKey) -> Bool {
    let (isUnderWay, control) = state.withLock { ($0.book.cancel(task, key), $0.control) }
    if isUnderWay { control.stop.ring() }
    return isUnderWay
  }

  /// Ends the order before, and waits for the next one; nil when the task is cancelled.
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
