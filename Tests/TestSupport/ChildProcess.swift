import FoundationEssentials
import Glibc
import Synchronization

/// A program that a test runs. It does not outlive the test process, however that ends: a guardian kills the remaining programs.
package final class ChildProcess: Sendable {
  package let pid: Int32
  /// The file that receives its standard output and error.
  package let logFile: String
  private let status = Mutex<Int32?>(nil)

  /// - Parameters:
  ///   - executable: a path, or a name that `Executable.find` looks up.
  ///   - log: the file to which its output is appended.
  ///   - environment: variables that are added to the test's own.
  package init(_ executable: String, _ arguments: [String] = [], log: String, environment: [String: String] = [:]) throws(TestSupportError)
  {
    logFile = log
    let inherited = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    pid = try Self.spawn(try Executable.find(executable), arguments, environment: inherited, input: nil, output: log)
    Guardian.shared.watch(pid)
  }

  deinit {
    if exitStatus == nil {
      Glibc.kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
      Guardian.shared.forget(pid)
    }
  }

  /// The exit code, or 128 plus the signal number, once the process has ended.
  package var exitStatus: Int32? {
    status.withLock { status in
      if status == nil {
        var raw: Int32 = 0
        if waitpid(pid, &raw, WNOHANG) == pid {
          status = raw & 0x7f == 0 ? (raw >> 8) & 0xff : 128 + (raw & 0x7f)
          Guardian.shared.forget(pid)
        }
      }
      return status
    }
  }

  package var log: String {
    do {
      return try String(contentsOfFile: logFile, encoding: .utf8)
    } catch {
      return "(no log: \(error))"
    }
  }

  package func signal(_ number: Int32) {
    if exitStatus == nil { Glibc.kill(pid, number) }
  }

  /// Waits until the process has ended.
  ///
  /// - Returns: the exit status as in `exitStatus`.
  @discardableResult
  package func wait(within timeout: Duration = .seconds(10)) async throws -> Int32 {
    _ = try await eventually(within: timeout) { exitStatus != nil }
    guard let status = exitStatus else { throw TestSupportError("process \(pid) still runs after \(timeout): \(log.suffix(2000))") }
    return status
  }

  fileprivate static func spawn(
    _ path: String, _ arguments: [String], environment: [String: String], input: Int32?, output: String?, ownGroup: Bool = false
  ) throws(TestSupportError) -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let input {
      posix_spawn_file_actions_adddup2(&actions, input, 0)
    } else {
      posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    }
    posix_spawn_file_actions_addopen(&actions, 1, output ?? "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0o644)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // The MQTT library makes this process ignore SIGPIPE, which children would inherit. They should start with the default.
    var defaults = sigset_t()
    sigemptyset(&defaults)
    sigaddset(&defaults, SIGPIPE)
    posix_spawnattr_setsigdefault(&attributes, &defaults)
    let flags = POSIX_SPAWN_SETSIGDEF | (ownGroup ? POSIX_SPAWN_SETPGROUP : 0)
    posix_spawnattr_setflags(&attributes, Int16(flags))
    let words = ([path] + arguments).map { strdup($0) } + [nil]
    let variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in words + variables { free(pointer) } }
    var pid: Int32 = 0
    let code = posix_spawn(&pid, path, &actions, &attributes, words, variables)
    guard code == 0 else { throw TestSupportError("\(path) does not start: \(String(cString: strerror(code)))") }
    return pid
  }

  /// A shell that reads which processes to watch, and kills the remaining ones when this process is gone.
  private final class Guardian: Sendable {
    static let shared = Guardian()
    private let pipeEnd: Int32

    private init() {
      let script = """
        pids=
        while read -r verb pid; do
          left=
          for p in $pids; do [ "$p" = "$pid" ] || left="$left $p"; done
          pids=$left
          [ "$verb" = watch ] && pids="$pids $pid"
        done
        [ -z "$pids" ] || kill -9 $pids
        """
      var ends: [Int32] = [-1, -1]
      pipe(&ends)
      // Only this process holds the writing end, so the pipe closes when this process ends.
      for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
      pipeEnd = ends[1]
      do {
        // The guardian has a group of its own, so that Ctrl-C at the terminal does not end it before the other processes.
        _ = try ChildProcess.spawn("/bin/sh", ["-c", script], environment: [:], input: ends[0], output: nil, ownGroup: true)
      } catch {
        print("processes of tests may be left over: \(error)")
      }
      close(ends[0])
    }

    func watch(_ pid: Int32) { tell("watch \(pid)\n") }
    func forget(_ pid: Int32) { tell("forget \(pid)\n") }

    private func tell(_ line: String) {
      _ = line.withCString { write(pipeEnd, $0, line.utf8.count) }
    }
  }
}

/// Finds programs, also in folders that are not in an ordinary user's PATH: Debian installs mosquitto in /usr/sbin.
package enum Executable {
  package static func find(_ name: String) throws(TestSupportError) -> String {
    if name.contains("/") { return name }
    let environment = ProcessInfo.processInfo.environment
    // Muster's programs are in the folder of the test bundle, because one build makes both.
    var own = [CChar](repeating: 0, count: Int(PATH_MAX))
    let length = readlink("/proc/self/exe", &own, own.count - 1)
    let bundle = String(decoding: own.prefix(max(length, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let built = environment["MUSTER_EXECUTABLES"] ?? String(bundle[..<(bundle.lastIndex(of: "/") ?? bundle.startIndex)])
    if access("\(built)/\(name)", X_OK) == 0 { return "\(built)/\(name)" }
    let path = environment["PATH"] ?? ""
    let folders = path.split(separator: ":").map(String.init) + ["/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/bin", "/usr/local/bin"]
    for folder in folders where access("\(folder)/\(name)", X_OK) == 0 { return "\(folder)/\(name)" }
    throw TestSupportError("\(name) is not installed: scripts/setup installs what the tests need")
  }
}
