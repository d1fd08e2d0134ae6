import CSpawn
import Glibc

/// Wakes a thread that waits in `poll`, from any other thread.
package final class Waker: Sendable {
  /// The descriptor that the waiting thread polls for reading.
  package let descriptor: Int32

  /// - Throws: ``FileError`` when the process has no descriptor left.
  package init() throws(FileError) {
    descriptor = muster_eventfd()
    guard descriptor >= 0 else { throw FileError(.opened, "an event counter", errno) }
  }

  deinit { close(descriptor) }

  package func wake() {
    var one: UInt64 = 1
    // This fails only when the counter is at its maximum, and then the thread wakes anyway.
    _ = write(descriptor, &one, 8)
  }

  package func clear() {
    var count: UInt64 = 0
    _ = read(descriptor, &count, 8)
  }
}
