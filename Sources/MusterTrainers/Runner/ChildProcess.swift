internal import CSpawn
internal import Glibc

/// A trainer's process in its own session and process group, with pipes to its standard descriptors. Used only on the worker's thread.
///
/// swift-subprocess ties a child to a closure that stays suspended while it lives. A resident trainer outlives every call that uses it.
final class ChildProcess {
  enum Status: Hashable {
    case exited(Int32)
    case signalled(Int32)
  }

  let pid: pid_t
  /// An environment variable that only this process and those it starts have.
  private let mark: String
  /// The parent's ends of the pipes, non-blocking; -1 once closed.
  private(set) var input: Int32
  private(set) var output: Int32
  private(set) var errors: Int32
  private(set) var status: Status?

  init(command: [String], environment: [String: String], folder: String?) throws(TrainerError) {
    guard let name = command.first, !name.isEmpty else { throw .notStarted("its command is empty") }
    let program = ChildProcess.locate(name)
    let (childInput, input) = try ChildProcess.pipe()
    let (output, childOutput) = try ChildProcess.pipe()
    let (errors, childErrors) = try ChildProcess.pipe()
    defer { for descriptor in [childInput, childOutput, childErrors] { Glibc.close(descriptor) } }
    for descriptor in [input, output, errors] { _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) }

    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
    mark = "MUSTER_TRAINER=\(getpid()).\(String(UInt64.random(in: .min ... .max), radix: 36))"
    var environment = environment
    environment["MUSTER_TRAINER"] = String(mark.drop { $0 != "=" }.dropFirst())
    var variables: [UnsafeMutablePointer<CChar>?] = environment.sorted { $0.key < $1.key }.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for text in arguments + variables { free(text) } }
    var pid: pid_t = 0
    let code = muster_spawn(&pid, program, &arguments, &variables, folder, childInput, childOutput, childErrors)
    guard code == 0 else {
      for descriptor in [input, output, errors] { Glibc.close(descriptor) }
      throw .notStarted("\(name): \(String(cString: strerror(code)))")
    }
    self.pid = pid
    self.input = input
    self.output = output
    self.errors = errors
  }

  deinit {
    closeAll()
    if status == nil {
      signal(SIGKILL)
      var code: Int32 = 0
      waitpid(pid, &code, 0)
    }
  }

  /// Looks for a name without a slash beside our own executable first, so that an installation finds its own trainer without PATH.
  private static func locate(_ name: String) -> String {
    guard !name.contains("/") else { return name }
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBytes { buffer in
      buffer.baseAddress.map { readlink("/proc/self/exe", $0.assumingMemoryBound(to: CChar.self), buffer.count) } ?? -1
    }
    guard count > 0, let slash = buffer[..<count].lastIndex(of: UInt8(ascii: "/")) else { return name }
    let sibling = String(decoding: buffer[...slash], as: UTF8.self) + name
    return access(sibling, X_OK) == 0 ? sibling : name
  }

  /// The path of a program's file: as ``locate(_:)`` gives it, otherwise from PATH.
  static func find(_ name: String, path: String, folder: String?) throws(TrainerError) -> String {
    guard !name.isEmpty else { throw .notStarted("its command is empty") }
    let found = locate(name)
    let candidates =
      if found.contains("/") { [found] } else { path.split(separator: ":").map { "\($0)/\(found)" } }
    for candidate in candidates {
      let file = candidate.hasPrefix("/") ? candidate : "\(folder.map { "\($0)/" } ?? "")\(candidate)"
      var status = stat()
      guard stat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { continue }
      guard access(file, X_OK) == 0 else { throw .notStarted("\(name): \(String(cString: strerror(EACCES)))") }
      // Absolute, because the launcher already runs in the trainer's folder.
      return JobFolder(file).path
    }
    throw .notStarted("\(name): \(String(cString: strerror(ENOENT)))")
  }

  private static func pipe() throws(TrainerError) -> (read: Int32, write: Int32) {
    var (read, write): (Int32, Int32) = (-1, -1)
    let code = muster_pipe(&read, &write)
    guard code == 0 else { throw .notStarted("cannot create a pipe: \(String(cString: strerror(code)))") }
    return (read, write)
  }

  /// Sends a signal to the whole process group.
  func signal(_ number: Int32) { kill(-pid, number) }

  /// Lets the process use this many more seconds of processor time.
  func grant(processorSeconds: Int) { _ = muster_grant_cpu(pid, UInt64(processorSeconds)) }

  /// Checks whether the process has ended. If so, also ends the processes that it left behind.
  @discardableResult
  func reap() -> Status? {
    if let status { return status }
    var code: Int32 = 0
    guard waitpid(pid, &code, WNOHANG) == pid else { return nil }
    signal(SIGKILL)
    // Ends processes that it started and that left its session.
    muster_end_marked(mark)
    status = code & 0x7f == 0 ? .exited((code >> 8) & 0xff) : .signalled(code & 0x7f)
    return status
  }

  /// Writes one line to its standard input. Returns `false` if that fails, because it no longer reads.
  func send(_ line: String) -> Bool {
    let bytes = Array("\(line)\n".utf8)
    return input >= 0 && write(input, bytes, bytes.count) == bytes.count
  }

  func closeInput() { close(&input) }
  func closeOutput() { close(&output) }
  func closeErrors() { close(&errors) }

  func closeAll() {
    closeInput()
    closeOutput()
    closeErrors()
  }

  private func close(_ descriptor: inout Int32) {
    if descriptor >= 0 { _ = Glibc.close(descriptor) }
    descriptor = -1
  }
}
