import CSpawn
import Glibc

/// Wakes a thread out of `poll`, from any thread.
package final class Waker: Sendable {
  /// To be polled for reading.
  package let descriptor: Int32

  /// - Throws: when the process has no descriptor left.
  package init() throws(FileError) {
    descriptor = muster_eventfd()
    guard descriptor >= 0 else { throw FileError(.opened, "an event counter", errno) }
  }

  deinit { close(descriptor) }

  package func wake() {
    var one: UInt64 = 1
    // Fails only if the counter is at its end: then the thread wakes anyway.
    _ = write(descriptor, &one, 8)
  }

  package func clear() {
    var count: UInt64 = 0
    _ = read(descriptor, &count, 8)
  }
}
