import MusterGround
import MusterMQTT
import Synchronization

/// Connects the devices' thread with the rest of the program.
final class LoadLink: Sendable {
  private struct State {
    var ends: [TransferEnd] = []
    var isStopping = false
    var progress = LoadProgress()
    var measures: LoadMeasures?
  }

  let waker: Waker
  private let state = Mutex(State())
  /// The transfers to start. Bounded, because the loop starts only a limited number at a time.
  let transfers: AsyncStream<Transfer>
  let start: AsyncStream<Transfer>.Continuation
  /// The events of the fleet, a few for each round.
  let events: AsyncStream<LoadEvent>
  let report: AsyncStream<LoadEvent>.Continuation

  init() throws(LoadError) {
    do {
      waker = try Waker()
    } catch {
      throw .system("\(error)")
    }
    (transfers, start) = AsyncStream.makeStream()
    (events, report) = AsyncStream.makeStream()
  }

  func post(_ end: TransferEnd) {
    let isFirst = state.withLock { state in
      state.ends.append(end)
      return state.ends.count == 1
    }
    if isFirst { waker.wake() }
  }

  func stop() {
    state.withLock { $0.isStopping = true }
    waker.wake()
  }

  /// The ends of transfers posted since the last call, and whether to stop.
  func take() -> (ends: [TransferEnd], isStopping: Bool) {
    state.withLock { state in
      defer { state.ends = [] }
      return (state.ends, state.isStopping)
    }
  }

  var progress: LoadProgress {
    get { state.withLock(\.progress) }
    set { state.withLock { $0.progress = newValue } }
  }

  /// The measurements that the thread left when it ended.
  var measures: LoadMeasures? {
    get { state.withLock(\.measures) }
    set { state.withLock { $0.measures = newValue } }
  }
}
