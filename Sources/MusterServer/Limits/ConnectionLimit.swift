import HummingbirdCore
import Logging

/// Stops accepting connections beyond a number: further ones wait in the kernel's queue until others end. Says so, once in a while.
struct ConnectionLimit: AvailableConnectionsDelegate {
  let maximum: Int
  let log: RefusalLog
  let logger: Logger
  private var count = 0

  init(_ maximum: Int, _ log: RefusalLog, _ logger: Logger) {
    self.maximum = maximum
    self.log = log
    self.logger = logger
  }

  mutating func connectionOpened() {
    count += 1
    guard count >= maximum else { return }
    log.note(503, "\(count) connections are open, further ones wait", ["limit": "data.limits.connections"], to: logger)
  }

  mutating func connectionClosed() { count -= 1 }
  func isAcceptingNewConnections() -> Bool { count < maximum }
}
