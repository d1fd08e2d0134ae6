internal import CSpawn
internal import Glibc

/// The limits and the user of a trainer's process, and the program that applies them.
///
/// `posix_spawn` runs no code of ours between fork and exec. So the agent starts itself as `muster-agent exec-trainer …`; that process sets
/// the limits and then executes the trainer. Central does the same.
public struct TrainerLaunch: Hashable, Sendable {
  /// The trainer's limits, of which the kernel's are set here.
  public var limits: TrainerLimits
  /// User name or uid; `nil` keeps the current user.
  public var user: String?
  /// Process id of the parent, with which the trainer and what it started end; 0 accepts any parent, and then only the trainer's own
  /// process ends with it.
  public var parent: Int32
  /// Whether the trainer is resident. The agent then grants processor time for each job, and none is limited here.
  public var resident: Bool
  /// The trainer's program and arguments.
  public var command: [String]

  /// Exit status of the launcher if it could not execute the trainer.
  public static let failed: Int32 = 126
  /// The beginning of the last line of output in that case.
  static let mark = "exec-trainer: "

  /// A launch with these settings.
  public init(limits: TrainerLimits, user: String?, parent: Int32, resident: Bool, command: [String]) {
    self.limits = limits
    self.user = user
    self.parent = parent
    self.resident = resident
    self.command = command
  }

  /// The arguments that follow the launcher's own name.
  public var arguments: [String] {
    var arguments: [String] = []
    func add(_ flag: String, _ value: (some CustomStringConvertible)?) {
      if let value { arguments += ["--\(flag)", "\(value)"] }
    }
    add("memory-mib", limits.memoryMiB)
    add("file-mib", limits.fileMiB)
    add("processes", limits.processes)
    add("open-files", limits.openFiles)
    add("cpu-seconds", resident ? nil : limits.cpuSeconds)
    add("nice", limits.nice)
    add("user", user)
    add("parent", parent)
    return arguments + ["--"] + command
  }

  /// Sets the limits and replaces this process with the trainer.
  ///
  /// - Returns: the reason why that failed; on success, it does not return.
  public func perform() -> String {
    var c = muster_limits()
    c.memory = UInt64(limits.memoryMiB ?? 0) << 20
    c.file = UInt64(limits.fileMiB ?? 0) << 20
    c.cpu = UInt64(resident ? 0 : limits.cpuSeconds ?? 0)
    c.processes = UInt64(limits.processes ?? 0)
    c.files = UInt64(limits.openFiles ?? 0)
    c.nice = Int32(limits.nice)
    // If memory runs out, the kernel should end the trainer rather than the agent.
    c.oom_score = 500
    var step: UnsafePointer<CChar>?
    let code = muster_confine(&c, parent, user, &step)
    guard code == 0 else { return "\(Self.mark)cannot \(step.map { String(cString: $0) } ?? ""): \(String(cString: strerror(code)))" }
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
    let failure = muster_execute(&arguments)
    for text in arguments { free(text) }
    return "\(Self.mark)\(command.first ?? ""): \(String(cString: strerror(failure)))"
  }
}

extension TrainerLaunch {
  /// The launcher of a program that calls ``performIfAsked(_:)`` first, for its ``TrainerRunner``.
  package static let own = ["/proc/self/exe", "exec-trainer"]

  /// The words to put before a command that should run under these limits and end with this process.
  package static func prefix(_ limits: TrainerLimits) -> [String] {
    own + TrainerLaunch(limits: limits, user: nil, parent: getpid(), resident: false, command: []).arguments
  }

  /// Must be called by a program whose launcher is ``own`` before it does anything else. If the first argument is `exec-trainer`, it
  /// becomes the trainer, or prints the reason why not and exits with ``failed``. Otherwise it returns.
  package static func performIfAsked(_ arguments: [String]) {
    guard arguments.dropFirst().first == "exec-trainer" else { return }
    let why = TrainerLaunch(arguments: arguments.dropFirst(2))?.perform() ?? "\(mark)invalid arguments"
    _ = "\(why)\n".withCString { write(2, $0, strlen($0)) }
    exit(failed)
  }

  /// Parses ``arguments``; `nil` if they are not valid.
  package init?(arguments: some Sequence<String>) {
    self.init(limits: TrainerLimits(), user: nil, parent: 0, resident: false, command: [])
    var rest = arguments.makeIterator()
    while let flag = rest.next(), flag != "--" {
      guard let value = rest.next() else { return nil }
      let number = Int(value)
      switch flag {
      case "--memory-mib": limits.memoryMiB = number
      case "--file-mib": limits.fileMiB = number
      case "--processes": limits.processes = number
      case "--open-files": limits.openFiles = number
      case "--cpu-seconds": limits.cpuSeconds = number
      case "--nice": limits.nice = number ?? -1
      case "--user": user = value
      case "--parent": parent = Int32(value) ?? -1
      default: return nil
      }
      guard number.map({ (0...1 << 30).contains($0) }) ?? (flag == "--user") else { return nil }
    }
    while let word = rest.next() { command.append(word) }
    guard !command.isEmpty, limits.nice <= 19 else { return nil }
  }
}

/// The account of a user that trainers run as.
package struct TrainerAccount: Hashable, Sendable {
  package let uid: UInt32
  package let gid: UInt32
  package let home: String

  /// Looks up a user by name or number; `nil` if there is none.
  package init?(_ name: String) {
    var (uid, gid): (uid_t, gid_t) = (0, 0)
    var home = [CChar](repeating: 0, count: 1024)
    guard muster_user(name, &uid, &gid, &home, home.count) == 0 else { return nil }
    self.uid = uid
    self.gid = gid
    self.home = String(decoding: home.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
