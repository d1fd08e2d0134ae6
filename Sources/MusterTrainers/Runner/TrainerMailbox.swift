internal import MusterGround
internal import Synchronization

/// One job, as it is passed to the worker's thread, with closures for its progress and result.
struct TrainerRequest: Sendable {
  let id: Int
  let job: TrainerJobDescription
  let folder: JobFolder
  let onProgress: @Sendable (TrainerProgress) -> Void
  let finish: @Sendable (Result<TrainerOutcome, TrainerError>) -> Void
}

/// Connects callers on any thread with the worker on its own thread. The worker waits in `poll`.
final class TrainerMailbox: Sendable {
  enum Command {
    case run(TrainerRequest)
    case stop
    case wait
  }

  private struct State {
    var nextID = 0
    var started = false
    var stopping = false
    var ended = false
    var queue: [TrainerRequest] = []
    var cancelled: Set<Int> = []
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Mutex(State())
  /// Wakes the worker from `poll`. `nil` if the process had no descriptor left: then the worker looks ten times a second.
  let waker = try? Waker()

  func makeID() -> Int {
    state.withLock { state in
      state.nextID += 1
      return state.nextID
    }
  }

  /// Queues a request. Returns `true` if the caller must start the worker. After ``stop``, a request is answered with `cancelled`.
  func submit(_ request: TrainerRequest) -> Bool {
    let (refused, start) = state.withLock { state in
      if state.stopping || state.cancelled.remove(request.id) != nil { return (true, false) }
      state.queue.append(request)
      defer { state.started = true }
      return (false, !state.started)
    }
    if refused { request.finish(.failure(.cancelled)) } else { wake() }
    return start
  }

  func cancel(_ id: Int) {
    let queued = state.withLock { state -> TrainerRequest? in
      if let index = state.queue.firstIndex(where: { $0.id == id }) { return state.queue.remove(at: index) }
      state.cancelled.insert(id)
      return nil
    }
    queued?.finish(.failure(.cancelled))
    wake()
  }

  func stop() {
    let queued = state.withLock { state in
      state.stopping = true
      defer { state.queue = [] }
      return state.queue
    }
    for request in queued { request.finish(.failure(.cancelled)) }
    wake()
  }

  /// Returns once the worker has ended, or at once if it never ran.
  func ended() async {
    await withCheckedContinuation { continuation in
      let over = state.withLock { state in
        if state.ended || !state.started { return true }
        state.waiting.append(continuation)
        return false
      }
      if over { continuation.resume() }
    }
  }

  // Called by the worker.

  func next() -> Command {
    state.withLock { state in
      if state.stopping { return .stop }
      return state.queue.isEmpty ? .wait : .run(state.queue.removeFirst())
    }
  }

  func isCancelled(_ id: Int) -> Bool { state.withLock { $0.stopping || $0.cancelled.contains(id) } }

  func finished(_ id: Int) { state.withLock { _ = $0.cancelled.remove(id) } }

  func workerEnded() {
    let waiting = state.withLock { state in
      state.ended = true
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  private func wake() { waker?.wake() }
}
