import Glibc
import Synchronization

/// The ports that this process was given before. The kernel may offer a port again if its program has not opened it yet.
private let given = Mutex<Set<Int>>([])

/// A TCP port of the loopback interface that is free now, and differs from those returned before.
package func freePort() throws(TestSupportError) -> Int {
  while true {
    let (descriptor, port) = try Loopback.bound()
    close(descriptor)
    // After 10,000 ports, repetition is allowed.
    if given.withLock({ given in given.count > 10_000 || given.insert(port).inserted }) { return port }
  }
}

/// Whether a program accepts connections at this port of the loopback interface.
package func accepts(port: Int) -> Bool {
  let descriptor = Loopback.connect(to: port)
  guard descriptor >= 0 else { return false }
  close(descriptor)
  return true
}
