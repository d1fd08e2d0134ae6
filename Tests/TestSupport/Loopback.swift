import Glibc

/// TCP on the loopback interface, and threads, in the minimal form that the tests' servers and proxies need.
package enum Loopback {
  /// A socket that is bound to a port of the loopback interface. Port 0 selects a free one.
  package static func bound(to port: Int = 0) throws(TestSupportError) -> (descriptor: Int32, port: Int) {
    let descriptor = stream()
    guard descriptor >= 0 else { throw TestSupportError("no socket: \(String(cString: strerror(errno)))") }
    var address = address(port)
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) == 0 ? getsockname(descriptor, $0, &size) : -1
      }
    }
    guard code == 0 else {
      defer { close(descriptor) }
      throw TestSupportError("no port: \(String(cString: strerror(errno)))")
    }
    return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
  }

  /// A bound socket that also listens. The system queues connections until `accept` takes them.
  package static func listener() throws(TestSupportError) -> (descriptor: Int32, port: Int) {
    let (descriptor, port) = try bound()
    guard listen(descriptor, 256) == 0 else {
      defer { close(descriptor) }
      throw TestSupportError("no listener: \(String(cString: strerror(errno)))")
    }
    return (descriptor, port)
  }

  /// A connected socket, or -1 when no program listens at the port.
  package static func connect(to port: Int) -> Int32 {
    let descriptor = stream()
    guard descriptor >= 0 else { return -1 }
    var address = address(port)
    let code = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard code != 0 else { return descriptor }
    close(descriptor)
    return -1
  }

  /// Sends all bytes.
  ///
  /// - Returns: whether the connection accepted all of them.
  package static func send(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>) -> Bool {
    var rest = bytes
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  /// Closes a connection with a reset. Bytes in transit are lost.
  package static func reset(_ descriptor: Int32) {
    var hard = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &hard, socklen_t(MemoryLayout<linger>.size))
    close(descriptor)
  }

  /// Starts a detached thread.
  package static func thread(_ run: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    let body = Unmanaged.passRetained(Body(run))
    pthread_create(
      &thread, nil,
      { @Sendable argument in
        if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
        return nil
      }, body.toOpaque())
    pthread_detach(thread)
  }

  private static func stream() -> Int32 { socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0) }

  private static func address(_ port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
    return address
  }

  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }
}
