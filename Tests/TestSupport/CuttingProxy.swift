import Glibc
import Synchronization

/// Observes the bytes of one connection, on that connection's own thread.
package protocol ConnectionTap: AnyObject {
  /// The client sent these bytes. They have not been forwarded yet.
  func sent(_ bytes: ArraySlice<UInt8>)
  /// The bytes of the last ``sent(_:)`` were forwarded.
  func wentOn()
  /// The server sent these bytes. They have not been forwarded yet.
  func answered(_ bytes: ArraySlice<UInt8>)
}

/// A TCP proxy that counts the bytes of clients, and damages connections as networks do: cut, half-open, lossy, slow.
package final class CuttingProxy: Sendable {
  package enum Verdict: Sendable {
    case pass
    /// Both sides are reset, and bytes in transit are lost.
    case cut
  }

  /// The network's treatment of connections.
  package enum Weather: Hashable, Sendable {
    case fair
    /// Half-open: connections stay up, but no bytes sent on them ever arrive, even after the weather is fair again, as if a router forgot
    /// them.
    case silent
    /// With this probability, a piece of at most 16 KiB is the last one of its connection, which is then reset.
    case lossy(Double)
    /// The bytes per second of a connection, in both directions together.
    case slow(Int)
  }

  package let port: Int
  private let listener: Int32
  private let target: Int
  private let judge: @Sendable (_ total: Int) -> Verdict
  private let tap: @Sendable () -> (any ConnectionTap)?
  private let state = Mutex(State())

  /// Connections are numbered in the order in which they came.
  private struct State {
    var weather = Weather.fair
    var received = 0
    var returned = 0
    var connections = 0
    /// Connections with numbers below these are to be reset, lose their client, or stay half-open permanently.
    var cut = 0
    var abandoned = 0
    var silenced = 0
  }

  /// - Parameters:
  ///   - target: the port to which connections are forwarded.
  ///   - judge: decides about each piece before it is forwarded, from the number of bytes that clients have sent in all, this piece
  ///     included.
  ///   - tap: makes the observer of a new connection.
  package init(
    to target: Int, judge: @escaping @Sendable (_ total: Int) -> Verdict = { _ in .pass },
    tap: @escaping @Sendable () -> (any ConnectionTap)? = { nil }
  ) throws {
    self.target = target
    self.judge = judge
    self.tap = tap
    (listener, port) = try Loopback.listener()
    let descriptor = listener
    Loopback.thread { [weak self] in
      // The thread closes the listener, so that its number cannot belong to another file while it is still used here.
      defer { close(descriptor) }
      while true {
        let client = accept(descriptor, nil, nil)
        if client < 0 {
          // A signal, or a client that went away, does not end the proxy; the shutdown of the listener does.
          if errno == EINVAL || errno == EBADF { return }
          usleep(1000)
          continue
        }
        guard let proxy = self else {
          close(client)
          return
        }
        // A program that is started in the meantime must not inherit the connection, which would then stay open when this end is closed.
        _ = fcntl(client, F_SETFD, FD_CLOEXEC)
        Loopback.thread { proxy.serve(client) }
      }
    }
  }

  deinit {
    shutdown(listener, Int32(SHUT_RDWR))
  }

  package var address: String { "http://127.0.0.1:\(port)" }
  /// The bytes that clients have sent, including heads.
  package var received: Int { state.withLock(\.received) }
  /// The bytes that were sent back to clients.
  package var returned: Int { state.withLock(\.returned) }
  /// The number of connections so far.
  package var connections: Int { state.withLock(\.connections) }

  package var weather: Weather {
    get { state.withLock(\.weather) }
    set {
      state.withLock { state in
        if state.weather == .silent || newValue == .silent { state.silenced = state.connections }
        state.weather = newValue
      }
    }
  }

  /// Resets all current connections on both sides.
  package func cut() { state.withLock { $0.cut = $0.connections } }

  /// Resets all current connections on the client's side. The server's side is not told before `cut`.
  package func loseClients() { state.withLock { $0.abandoned = $0.connections } }

  // MARK: Connections

  private enum Fate {
    case served(Weather)
    case halfOpen
    case abandoned
    case cut
  }

  private func fate(of number: Int) -> Fate {
    state.withLock { state in
      if number < state.cut { return .cut }
      if number < state.abandoned { return .abandoned }
      return state.weather == .silent || number < state.silenced ? .halfOpen : .served(state.weather)
    }
  }

  private func serve(_ client: Int32) {
    let number = state.withLock { state in
      defer { state.connections += 1 }
      return state.connections
    }
    var link = Link(client: client, server: Loopback.connect(to: target))
    let tap = tap()
    while true {
      guard link.server >= 0 else { return link.reset() }
      switch fate(of: number) {
      case .cut: return link.reset()
      case .abandoned:
        link.loseClient()
        guard link.waitSilently() else { return link.close() }
      case .halfOpen: guard link.waitSilently() else { return link.close() }
      case .served(let weather):
        switch pass(link, weather, tap) {
        case .pass?: continue
        case .cut?: return link.reset()
        case nil:
          // When a side that was lost on purpose ends, the other side is not told.
          if case .served = fate(of: number) { return link.close() }
        }
      }
    }
  }

  /// Waits a short time for bytes and forwards them.
  ///
  /// - Returns: `nil` when one side has ended.
  private func pass(_ link: Link, _ weather: Weather, _ tap: (any ConnectionTap)?) -> Verdict? {
    var ends = [pollfd(fd: link.client, events: Int16(POLLIN), revents: 0), pollfd(fd: link.server, events: Int16(POLLIN), revents: 0)]
    guard poll(&ends, 2, Link.turn) >= 0 || errno == EINTR else { return nil }
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    for (index, other) in [(0, link.server), (1, link.client)] where ends[index].revents != 0 {
      let count = recv(ends[index].fd, &buffer, buffer.count, 0)
      guard count > 0 else { return nil }
      if index == 0 {
        let now = state.withLock { state in
          state.received += count
          return state.received
        }
        if judge(now) == .cut { return .cut }
        tap?.sent(buffer[..<count])
      } else {
        state.withLock { $0.returned += count }
        tap?.answered(buffer[..<count])
      }
      switch weather {
      case .lossy(let probability): if Double.random(in: 0..<1) < probability { return .cut }
      case .slow(let rate): usleep(UInt32(clamping: count * 1_000_000 / rate))
      case .fair, .silent: break
      }
      guard Loopback.send(other, buffer[..<count]) else { return nil }
      if index == 0 { tap?.wentOn() }
    }
    return .pass
  }
}

/// The two sides of a connection through the proxy.
private struct Link {
  var client: Int32
  let server: Int32

  /// POLLRDHUP, which Glibc's module leaves out: the other side has closed its end, even if bytes are still unread.
  private static let hungUp: Int16 = 0x2000
  /// The interval in milliseconds at which a connection checks its fate.
  static let turn: Int32 = 50

  mutating func loseClient() {
    guard client >= 0 else { return }
    Loopback.reset(client)
    client = -1
  }

  /// - Returns: false when neither side is open any more.
  func waitSilently() -> Bool {
    usleep(UInt32(Self.turn) * 1000)
    return [client, server].contains { descriptor in
      var end = pollfd(fd: descriptor, events: Self.hungUp, revents: 0)
      return descriptor >= 0 && poll(&end, 1, 0) == 0
    }
  }

  func reset() { for descriptor in [client, server] where descriptor >= 0 { Loopback.reset(descriptor) } }
  func close() { for descriptor in [client, server] where descriptor >= 0 { Glibc.close(descriptor) } }
}
