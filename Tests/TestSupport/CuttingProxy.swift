import Glibc
import Synchronization

/// Sees what passes through one connection, on that connection's own thread.
package protocol ConnectionTap: AnyObject {
  /// The client sent this; it has not gone on yet.
  func sent(_ bytes: ArraySlice<UInt8>)
  /// What was sent last has gone on.
  func wentOn()
  /// The server answered this; it has not gone back yet.
  func answered(_ bytes: ArraySlice<UInt8>)
}

/// A TCP proxy that counts what clients send, and treats connections as badly as networks do: cut, half-open, lossy, slow.
package final class CuttingProxy: Sendable {
  package enum Verdict: Sendable {
    case pass
    /// Both sides end with a reset, what is under way is lost.
    case cut
  }

  /// What the network does to connections.
  package enum Weather: Hashable, Sendable {
    case fair
    /// Half-open: connections are there, and whatever is sent on them never arrives, also when the weather is fair again. (A router forgot them.)
    case silent
    /// With this probability a piece of at most 16 KiB is the last one of its connection, which ends with a reset.
    case lossy(Double)
    /// Bytes a second of a connection, both ways together.
    case slow(Int)
  }

  package let port: Int
  private let listener: Int32
  private let target: Int
  private let judge: @Sendable (_ total: Int) -> Verdict
  private let tap: @Sendable () -> (any ConnectionTap)?
  private let state = Mutex(State())

  /// Connections have numbers, in the order in which they came.
  private struct State {
    var weather = Weather.fair
    var received = 0
    var returned = 0
    var connections = 0
    /// The connections below these numbers are to be reset, without a client, or half-open for good.
    var cut = 0
    var abandoned = 0
    var silenced = 0
  }

  /// - Parameters:
  ///   - port: where connections go.
  ///   - judge: asked with the number of bytes that clients have sent in all, before the last piece of them goes on.
  ///   - tap: makes what sees a new connection's bytes.
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
      while true {
        let client = accept(descriptor, nil, nil)
        guard client >= 0, let proxy = self else { return }
        // A program that is started meanwhile must not hold the connection, too: it would stay open when this end is closed.
        _ = fcntl(client, F_SETFD, FD_CLOEXEC)
        Loopback.thread { proxy.serve(client) }
      }
    }
  }

  deinit {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

  package var address: String { "http://127.0.0.1:\(port)" }
  /// Bytes that clients have sent, heads included.
  package var received: Int { state.withLock(\.received) }
  /// Bytes that went back to them.
  package var returned: Int { state.withLock(\.returned) }
  /// Connections so far.
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

  /// Resets all connections of now, on both sides.
  package func cut() { state.withLock { $0.cut = $0.connections } }

  /// Resets all connections of now towards their clients; the other side learns nothing of it, until `cut`.
  package func loseClients() { state.withLock { $0.abandoned = $0.connections } }

  // MARK: A connection

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
          // The end of a side that was lost a moment ago is no news for the other one.
          if case .served = fate(of: number) { return link.close() }
        }
      }
    }
  }

  /// Waits a little for bytes and hands them on.
  ///
  /// - Returns: nil at the end of a side.
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

  /// POLLRDHUP, which Glibc's module leaves out: the other side has closed, whatever it sent before.
  private static let hungUp: Int16 = 0x2000
  /// Milliseconds after which a connection looks at what became of it.
  static let turn: Int32 = 50

  mutating func loseClient() {
    guard client >= 0 else { return }
    Loopback.reset(client)
    client = -1
  }

  /// - Returns: false when nobody is left who could wait for something.
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
