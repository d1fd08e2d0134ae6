import CMosquitto
import Glibc

/// Wakes the owning thread out of `poll`, from any thread.
package final class Waker: Sendable {
  package let descriptor: Int32

  package init() throws(MQTTError) {
    descriptor = muster_eventfd()
    guard descriptor >= 0 else { throw .configuration("MQTT: no event descriptor: \(String(cString: strerror(errno)))") }
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
