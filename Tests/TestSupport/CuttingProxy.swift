import Glibc
import Synchronization

/// A TCP proxy that counts what clients send, and breaks the connection when a test says so.
package final class CuttingProxy: Sendable {
  package enum Verdict: Sendable {
    case pass
    /// Both sides end with a reset, what is under way is lost.
    case cut
  }

  package let port: Int
  private let listener: Int32
  private let target: Int
  private let judge: @Sendable (_ total: Int) -> Verdict
  private let total = Mutex(0)
  private let answered = Mutex(0)

  /// - Parameters:
  ///   - port: where connections go.
  ///   - judge: asked with the number of bytes that clients have sent in all, before the last piece of them goes on.
  package init(to target: Int, judge: @escaping @Sendable (_ total: Int) -> Verdict = { _ in .pass }) throws {
    self.target = target
    self.judge = judge
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = listener
    let code = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) == 0 && listen(descriptor, 64) == 0 ? getsockname(descriptor, $0, &size) : -1
      }
    }
    guard code == 0 else { throw TestSupportError("no proxy: \(String(cString: strerror(errno)))") }
    port = Int(UInt16(bigEndian: address.sin_port))
    Self.thread { [weak self] in
      while true {
        let client = accept(descriptor, nil, nil)
        guard client >= 0, let proxy = self else { return }
        Self.thread { proxy.serve(client) }
      }
    }
  }

  deinit {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

  package var address: String { "http://127.0.0.1:\(port)" }
  /// Bytes that clients have sent, heads included.
  package var received: Int { total.withLock(\.self) }
  /// Bytes that went back to them.
  package var returned: Int { answered.withLock(\.self) }

  private func serve(_ client: Int32) {
    let server = connect()
    var isCut = server < 0
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    var ends = [pollfd(fd: client, events: Int16(POLLIN), revents: 0), pollfd(fd: server, events: Int16(POLLIN), revents: 0)]
    loop: while !isCut {
      guard poll(&ends, 2, -1) > 0 || errno == EINTR else { break }
      for (index, other) in [(0, server), (1, client)] where ends[index].revents != 0 {
        let count = recv(ends[index].fd, &buffer, buffer.count, 0)
        guard count > 0 else { break loop }
        if index == 0 {
          let now = total.withLock { total in
            total += count
            return total
          }
          if judge(now) == .cut {
            isCut = true
            break loop
          }
        } else {
          answered.withLock { $0 += count }
        }
        guard say(other, buffer[..<count]) else { break loop }
      }
    }
    for descriptor in [client, server] where descriptor >= 0 {
      if isCut {
        var hard = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &hard, socklen_t(MemoryLayout<linger>.size))
      }
      close(descriptor)
    }
  }

  private func connect() -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(target).bigEndian
    address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
    let code = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard code == 0 else {
      close(descriptor)
      return -1
    }
    return descriptor
  }

  private func say(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>) -> Bool {
    var rest = bytes
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  private static func thread(_ run: @escaping @Sendable () -> Void) {
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
}
