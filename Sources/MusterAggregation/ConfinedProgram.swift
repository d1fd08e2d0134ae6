internal import CSpawn
internal import Glibc
import MusterGround
internal import MusterSchema
internal import MusterTensors

/// One run of an external rule's program: in its own session and folder, with a clean environment, with limits on time, output and disk.
struct ConfinedProgram {
  let rule: ExternalRule
  /// The job's folder: the program's working folder and its last argument.
  let folder: String

  private var log: String { "\(folder)/log" }

  func run() throws(AggregationError) {
    let output = open(log, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    let input = open("/dev/null", O_RDONLY | O_CLOEXEC)
    defer { for descriptor in [output, input] where descriptor >= 0 { close(descriptor) } }
    guard output >= 0, input >= 0, let program = rule.command.first else {
      throw .external(rule: rule.name, "its command is empty, or its log cannot be opened")
    }
    let command = rule.confinement.launcher + rule.command + [folder]
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
    // Processes that the program started are found again by this variable, even in other sessions.
    let mark = "MUSTER_TRAINER=\(getpid()).\(String(UInt64.random(in: .min ... .max), radix: 36))"
    let lines = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" } + [mark]
    var variables: [UnsafeMutablePointer<CChar>?] = lines.map { strdup($0) } + [nil]
    defer { for text in arguments + variables { free(text) } }
    var pid: pid_t = 0
    let code = muster_spawn(&pid, command[0], &arguments, &variables, folder, input, output, output)
    guard code == 0 else {
      let reason = String(cString: strerror(code))
      throw .external(rule: rule.name, "\(program) cannot be started: \(reason)", passing: SystemTrouble.isPassing(code))
    }
    let ending = wait(for: pid, output)
    // Ends processes that the program may have left behind.
    kill(-pid, SIGKILL)
    muster_end_marked(mark)
    switch ending {
    case .excess(let why): throw .external(rule: rule.name, why)
    case .status(0): return
    case .status(let status):
      let how = status & 0x7f == 0 ? "exit code \((status >> 8) & 0xff)" : "signal \(status & 0x7f)"
      throw .external(rule: rule.name, "it ended with \(how)\(lastLine(of: output).map { ": \($0)" } ?? "")")
    }
  }

  private var environment: [String: String] {
    var environment = ["PATH": own("PATH") ?? "/usr/local/bin:/usr/bin:/bin", "LANG": own("LANG") ?? "C.UTF-8"]
    environment["HOME"] = own("HOME")
    return environment.merging(rule.confinement.environment) { _, given in given }
  }

  private func own(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

  private enum Ending {
    case status(Int32)
    /// The program was ended, for this reason.
    case excess(String)
  }

  private func wait(for pid: pid_t, _ output: Int32) -> Ending {
    let deadline = ContinuousClock.now + rule.timeout
    var nextLook = ContinuousClock.now
    var (status, pause): (Int32, UInt32) = (0, 500)
    while true {
      let ended = waitpid(pid, &status, WNOHANG)
      if ended == pid { return .status(status) }
      if ended < 0 && errno != EINTR { return .excess("waiting for it failed: \(String(cString: strerror(errno)))") }
      let now = ContinuousClock.now
      var why = now > deadline ? "it did not finish within \(rule.timeout)" : nil
      if why == nil, now >= nextLook {
        nextLook = now + .milliseconds(500)
        why = excess(output)
      }
      if let why {
        kill(-pid, SIGKILL)
        waitpid(pid, &status, 0)
        return .excess(why)
      }
      // waitpid has no timeout, and aggregation blocks its thread anyway, so this polls. The end is noticed at most 50 ms late.
      usleep(pause)
      pause = min(50_000, pause * 2)
    }
  }

  /// The limit that is exceeded, among those that the kernel does not enforce; otherwise `nil`.
  private func excess(_ output: Int32) -> String? {
    let limits = rule.confinement
    var file = stat()
    if fstat(output, &file) == 0, Int(file.st_size) > limits.outputMiB << 20 { return "it printed more than \(limits.outputMiB) MiB" }
    if let most = limits.diskMiB, muster_usage(folder) > UInt64(most) << 20 { return "it stored more than \(most) MiB in its folder" }
    var room = statvfs()
    if limits.freeMiB > 0, fstatvfs(output, &room) == 0, UInt64(room.f_bavail) * UInt64(room.f_frsize) < UInt64(limits.freeMiB) << 20 {
      return "it filled the disk: less than \(limits.freeMiB) MiB is free"
    }
    return nil
  }

  private func lastLine(of output: Int32) -> String? {
    var bytes = [UInt8](repeating: 0, count: 2000)
    let end = lseek(output, 0, SEEK_END)
    let count = pread(output, &bytes, bytes.count, max(0, end - off_t(bytes.count)))
    guard count > 0 else { return nil }
    return String(decoding: bytes[..<count], as: UTF8.self).split(whereSeparator: \.isNewline).last.map { shown(String($0)) }
  }
}
