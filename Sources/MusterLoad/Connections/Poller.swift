import CSpawn
import Glibc

/// A set of sockets that one thread waits for, kept by the kernel (epoll). A wait costs time for the ready sockets, not for the open ones.
final class Poller {
  private let set: Int32
  private var ready = [muster_ready](repeating: muster_ready(), count: 256)

  init() throws(LoadError) {
    set = muster_epoll()
    guard set >= 0 else { throw Self.failure("wait for sockets") }
  }

  deinit { close(set) }

  /// Watches a descriptor until it is closed.
  ///
  /// - Parameters:
  ///   - token: identifies the descriptor in ``wait(milliseconds:_:)``.
  ///   - writes: whether to report when the descriptor can be written to.
  func add(_ descriptor: Int32, token: UInt64, writes: Bool = false) throws(LoadError) {
    guard muster_epoll_watch(set, descriptor, 1, token, writes ? 1 : 0) == 0 else { throw Self.failure("watch a socket") }
  }

  func change(_ descriptor: Int32, token: UInt64, writes: Bool) throws(LoadError) {
    guard muster_epoll_watch(set, descriptor, 0, token, writes ? 1 : 0) == 0 else { throw Self.failure("watch a socket") }
  }

  /// Waits until a descriptor is ready, and calls `body` for each ready one.
  func wait(milliseconds: Int32, _ body: (_ token: UInt64, _ reads: Bool, _ writes: Bool) throws -> Void) throws {
    let count = muster_epoll_wait(set, &ready, Int32(ready.count), milliseconds)
    guard count >= 0 else {
      if errno == EINTR { return }
      throw Self.failure("wait for sockets")
    }
    for one in ready[..<Int(count)] { try body(one.token, one.reads != 0, one.writes != 0) }
  }

  private static func failure(_ what: String) -> LoadError {
    .system("the process cannot \(what): \(String(cString: strerror(errno)))")
  }
}
