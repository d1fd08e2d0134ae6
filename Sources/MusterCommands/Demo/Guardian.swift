import Glibc
import MusterSchema
import Subprocess
import SystemPackage

/// A shell process that ends the remaining programs when the demo itself has ended in any way.
///
/// It reads from a pipe which processes to watch. Only the demo holds the writing end, so the pipe closes when the demo ends. The kernel's
/// parent-death signal does not work here, because it depends on the *thread* that started a process, and those threads come and go.
struct Guardian: Sendable {
  private let writing: FileDescriptor
  private let reading: FileDescriptor

  init() throws(CommandError) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw CommandError(.unexpected, "cannot create a pipe: \(String(cString: strerror(errno)))") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    reading = FileDescriptor(rawValue: ends[0])
    writing = FileDescriptor(rawValue: ends[1])
  }

  private static let script = """
    pids=
    while read -r verb pid; do
      left=
      for p in $pids; do [ "$p" = "$pid" ] || left="$left $p"; done
      pids=$left
      [ "$verb" = watch ] && pids="$pids $pid"
    done
    [ -z "$pids" ] && exit 0
    kill -TERM $pids
    sleep 3
    kill -KILL $pids
    """

  /// Runs until ``close()`` is called.
  func run() async {
    var options = PlatformOptions()
    // Ctrl-C at the terminal must not end this shell before the other programs.
    options.createSession = true
    do {
      _ = try await Subprocess.run(
        .path("/bin/sh"), arguments: ["-c", Self.script], platformOptions: options,
        input: .fileDescriptor(reading, closeAfterSpawningProcess: true), output: .discarded, error: .discarded)
    } catch {
      Console.note("muster: cannot start the guardian process, so programs keep running if this one is killed: \(error)")
    }
  }

  func watch(_ pid: Int32) { tell("watch \(pid)\n") }
  func forget(_ pid: Int32) { tell("forget \(pid)\n") }
  func close() { Glibc.close(writing.rawValue) }

  private func tell(_ line: String) {
    // A line is much shorter than PIPE_BUF, so it is written as a whole or not at all.
    _ = line.withCString { Glibc.write(writing.rawValue, $0, line.utf8.count) }
  }
}
