import Glibc
import MusterSchema
import Synchronization

/// Turns Ctrl-C, SIGTERM and SIGHUP into an error inside a scope, so that the programs started there are stopped in order.
enum Interruption {
  /// The last signal received; 0 for none. The signal handler touches nothing else.
  private static let received = Atomic<Int32>(0)

  /// Catches these signals from now on, so that they do not end the process.
  static func catchSignals() {
    // Initialize the static value here, because its first use is not safe inside a handler.
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
