internal import Glibc
internal import Synchronization

/// The descriptor for protocol lines.
struct ProtocolOutput {
  let descriptor: Int32

  /// Keeps a copy of standard output for the protocol and redirects descriptor 1 to standard error, so that libraries print to the log.
  static func takeStandardOutput() -> ProtocolOutput {
    let copy = fcntl(1, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0, dup2(2, 1) >= 0 else { return ProtocolOutput(descriptor: 1) }
    return ProtocolOutput(descriptor: copy)
  }

  func write(_ line: String) {
    let bytes = Array("\(line)\n".utf8)
    var position = 0
    while position < bytes.count {
      let count = bytes[position...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 && errno != EINTR { return }
      position += max(0, count)
    }
  }
}

/// Whether SIGTERM or SIGINT has arrived.
enum Termination {
  private static let requested = Atomic<Bool>(false)

  static var isRequested: Bool { requested.load(ordering: .relaxed) }

  /// From now on, SIGTERM and SIGINT only set a flag. They still interrupt reads, so that an idle program notices them.
  static func watch() {
    _ = isRequested
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in Termination.requested.store(true, ordering: .relaxed) }
    sigaction(SIGTERM, &action, nil)
    sigaction(SIGINT, &action, nil)
  }
}
