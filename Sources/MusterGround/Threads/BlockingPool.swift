import Glibc
import Synchronization

/// Runs work that blocks, on the disk or on a short computation, away from the cooperative threads.
///
/// At most sixteen pieces of work run at once; further ones wait in order of arrival. ``offloadLong(_:)`` is not counted.
package func offload<T: Sendable, E: Error>(_ work: @escaping @Sendable () throws(E) -> T) async throws(E) -> T {
  let result: Result<T, E> = await withCheckedContinuation { continuation in
    BlockingPool.shared.run { continuation.resume(returning: Result(catching: work)) }
  }
  return try result.get()
}

/// Runs work that may take long, for example hashing or copying a model, on a thread of its own.
package func offloadLong<T: Sendable, E: Error>(_ work: @escaping @Sendable () throws(E) -> T) async throws(E) -> T {
  let result: Result<T, E> = await withCheckedContinuation { continuation in
    let run: @Sendable () -> Void = { continuation.resume(returning: Result(catching: work)) }
    do throws(ThreadError) {
      try Threads.start(named: BlockingPool.threadName, stackBytes: BlockingPool.stackBytes, run)
    } catch {
      BlockingPool.shared.run(run)
    }
  }
  return try result.get()
}

/// A bounded set of threads for work that blocks. A thread is started when it is needed, and ends after some time without work.
///
/// This is not a Dispatch queue: on Linux, Dispatch shares its threads, as many as there are cores, with the cooperative pool. Blocking
/// work there holds up every task of the process until Dispatch notices, a second later.
package final class BlockingPool: Sendable {
  package static let shared = BlockingPool(width: 16)
  /// Name of the threads that may block, as `top -H` shows it.
  package static let threadName: StaticString = "muster-blocking"
  static let stackBytes = 1 << 20

  private struct State {
    /// Work that no thread has taken yet, oldest first.
    var waiting: [@Sendable () -> Void] = []
    var threads = 0
    /// Threads that have no work and were not woken yet.
    var idle = 0
  }

  private let width: Int
  private let idleSeconds: Int
  private let state = Mutex(State())
  private let wakes: Semaphore

  /// Makes a pool that has no threads yet.
  ///
  /// - Parameters:
  ///   - width: the largest number of threads.
  ///   - idleSeconds: how long a thread without work waits before it ends.
  package init(width: Int, idleSeconds: Int = 10) {
    self.width = width
    self.idleSeconds = idleSeconds
    wakes = Semaphore()
  }

  /// The number of threads that exist now.
  package var threads: Int { state.withLock(\.threads) }

  package func run(_ work: @escaping @Sendable () -> Void) {
    enum Next { case wake, start, wait }
    let next = state.withLock { state -> Next in
      state.waiting.append(work)
      if state.idle > 0 {
        state.idle -= 1
        return .wake
      }
      guard state.threads < width else { return .wait }
      state.threads += 1
      return .start
    }
    switch next {
    case .wait: break
    case .wake: wakes.post()
    case .start:
      do throws(ThreadError) {
        try Threads.start(named: Self.threadName, stackBytes: Self.stackBytes) { self.serve() }
      } catch {
        let isAlone = state.withLock { state in
          state.threads -= 1
          return state.threads == 0
        }
        // The system did not start even one thread, so the caller runs the work: late is better than never.
        if isAlone { while let work = take() { work() } }
      }
    }
  }

  private func take() -> (@Sendable () -> Void)? {
    state.withLock { $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() }
  }

  private func serve() {
    while true {
      while let work = take() { work() }
      let rests = state.withLock { state in
        guard state.waiting.isEmpty else { return false }
        state.idle += 1
        return true
      }
      guard rests, !wakes.wait(seconds: idleSeconds) else { continue }
      let ends = state.withLock { state in
        // `idle` is 0: `run` counted this thread as woken while its wait timed out. Take the post that `run` made for it below.
        guard state.idle > 0 else { return false }
        state.idle -= 1
        state.threads -= 1
        return true
      }
      if ends { return }
      wakes.wait()
    }
  }
}

/// A counting semaphore for threads.
///
/// `@unchecked Sendable`: POSIX allows several threads to use one `sem_t`, and its address does not change between `init` and `deinit`.
private final class Semaphore: @unchecked Sendable {
  private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

  init() { sem_init(semaphore, 0, 0) }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  func post() { sem_post(semaphore) }

  func wait() { while sem_wait(semaphore) != 0, errno == EINTR {} }

  /// - Returns: whether ``post()`` was called within this time.
  func wait(seconds: Int) -> Bool {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    time.tv_sec += seconds
    while sem_timedwait(semaphore, &time) != 0 {
      if errno != EINTR { return false }
    }
    return true
  }
}
