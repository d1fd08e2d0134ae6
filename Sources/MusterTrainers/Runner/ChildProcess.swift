internal import CSpawn
internal import Glibc

/// A trainer's process: its own session and process group, pipes to its three standard descriptors. Used from the worker's thread only.
///
/// swift-subprocess ties a child to a closure that must stay suspended while it lives; a resident trainer outlives every call that uses it.
final class ChildProcess {
  enum Status: Hashable {
    case exited(Int32)
    case signalled(Int32)
  }

  let pid: pid_t
  /// A variable that only this process and those that it starts have.
  private let mark: String
  /// Our ends, not blocking; -1 once closed.
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

  /// A bare name is looked for beside our own executable first: an installation finds its own trainer without a PATH.
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

  /// The program's file: as ``locate(_:)`` has it, and if that is a bare name, from PATH.
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
      // Absolute: the launcher stands in the trainer's folder already.
      return JobFolder(file).path
    }
    throw .notStarted("\(name): \(String(cString: strerror(ENOENT)))")
  }

  private static func pipe() throws(TrainerError) -> (read: Int32, write: Int32) {
    var (read, write): (Int32, Int32) = (-1, -1)
    let code = muster_pipe(&read, &write)
    guard code == 0 else { throw .notStarted("no pipe: \(String(cString: strerror(code)))") }
    return (read, write)
  }

  /// To the whole group.
  func signal(_ number: Int32) { kill(-pid, number) }

  /// Its processor time ends so many seconds from now.
  func grant(processorSeconds: Int) { _ = muster_grant_cpu(pid, UInt64(processorSeconds)) }

  /// Asks whether the process has ended; once it has, ends what it left behind in its group.
  @discardableResult
  func reap() -> Status? {
    if let status { return status }
    var code: Int32 = 0
    guard waitpid(pid, &code, WNOHANG) == pid else { return nil }
    signal(SIGKILL)
    // What it started and took out of its session.
    muster_end_marked(mark)
    status = code & 0x7f == 0 ? .exited((code >> 8) & 0xff) : .signalled(code & 0x7f)
    return status
  }

  /// One line to its standard input. False when it no longer reads.
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
