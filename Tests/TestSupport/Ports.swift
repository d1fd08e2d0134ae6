import Glibc
import Synchronization

/// What this process was given before: the kernel may offer a port again that its program has not opened yet.
private let given = Mutex<Set<Int>>([])

/// A TCP port of the loopback interface that nobody uses right now, and another one each time.
package func freePort() throws(TestSupportError) -> Int {
  while true {
    let (descriptor, port) = try Loopback.bound()
    close(descriptor)
    // After very many the ports come round again.
    if given.withLock({ given in given.count > 10_000 || given.insert(port).inserted }) { return port }
  }
}

/// Whether somebody accepts connections at this port of the loopback interface.
package func accepts(port: Int) -> Bool {
  let descriptor = Loopback.connect(to: port)
  guard descriptor >= 0 else { return false }
  close(descriptor)
  return true
}
