import Glibc
import MusterGround
import Synchronization

/// Waits for SIGTERM and SIGINT. A second signal of the same kind ends the process at once.
package enum StopSignals {
  /// Returns when the process is asked to stop, or the task is cancelled.
  package static func wait() async throws {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw AgentError.network("cannot create a pipe for signals: \(String(cString: strerror(errno)))") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let reading = ends[0]
    writingEnd.store(ends[1], ordering: .releasing)
    for number in [SIGTERM, SIGINT] {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { @Sendable _ in writeByte() }
      action.sa_flags = Int32(bitPattern: UInt32(bitPattern: Int32(SA_RESTART)) | UInt32(SA_RESETHAND))
      sigaction(number, &action, nil)
    }
    await withTaskCancellationHandler {
      await offloadLong {
        var byte: UInt8 = 0
        while read(reading, &byte, 1) < 0 && errno == EINTR {}
      }
    } onCancel: {
      writeByte()
    }
  }
}

private let writingEnd = Atomic<Int32>(-1)

/// Writes a byte to the pipe. Safe in a signal handler, because it only does an atomic load and a write.
private func writeByte() {
  let code = errno
  var byte: UInt8 = 1
  _ = write(writingEnd.load(ordering: .acquiring), &byte, 1)
  errno = code
}
