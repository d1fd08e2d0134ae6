import HummingbirdCore

/// Stops accepting connections at a maximum and logs it. Further connections wait in the kernel's queue until others end.
struct ConnectionLimit: AvailableConnectionsDelegate {
  let maximum: Int
  let log: RefusalLog
  private var count = 0

  init(_ maximum: Int, _ log: RefusalLog) {
    self.maximum = maximum
    self.log = log
  }

  mutating func connectionOpened() {
    count += 1
    guard count >= maximum else { return }
    log.note(503, "\(count) connections are open; further ones have to wait", limit: "connections")
  }

  mutating func connectionClosed() { count -= 1 }
  func isAcceptingNewConnections() -> Bool { count < maximum }
}
