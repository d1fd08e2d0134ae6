import Glibc
import MusterSchema
import Synchronization

/// Ctrl-C, SIGTERM and SIGHUP as an error in the middle of a scope, so that what it started is stopped in order.
enum Interruption {
  /// The signal that came last; 0: none. All that a signal handler may touch.
  private static let received = Atomic<Int32>(0)

  /// From here on these signals do not end the process.
  static func catchSignals() {
    // The first use of a static value is not safe inside a handler.
    received.store(0, ordering: .relaxed)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      signal(number) { @Sendable number in Interruption.received.store(number, ordering: .relaxed) }
    }
  }

  static var hasCome: Bool { received.load(ordering: .relaxed) != 0 }

  /// - Throws: ``CommandError`` with exit code 130 once a signal has come.
  static func check() throws(CommandError) {
    if hasCome { throw CommandError(.interrupted, "interrupted") }
  }
}
