internal import CSpawn
internal import Glibc

/// How a trainer's process comes under its limits: no hook runs between fork and exec, so the agent executes itself,
/// `muster-agent exec-trainer …`, sets them, and then becomes the trainer. Central does the same.
public struct TrainerLaunch: Hashable, Sendable {
  public var limits: TrainerLimits
  /// A name or a number; nil: who one is.
  public var user: String?
  /// The process that it ends with; 0: whoever.
  public var parent: Int32
  /// Processor time is granted for each job by the agent.
  public var resident: Bool
  public var command: [String]

  /// Exit status of ``perform()``'s program when it could not become the trainer.
  public static let failed: Int32 = 126
  /// What the last line then begins with.
  static let mark = "exec-trainer: "

  public init(limits: TrainerLimits, user: String?, parent: Int32, resident: Bool, command: [String]) {
    self.limits = limits
    self.user = user
    self.parent = parent
    self.resident = resident
    self.command = command
  }

  /// What follows the launcher's own name.
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

  /// Sets everything and becomes the trainer.
  /// - Returns: why it could not.
  public func perform() -> String {
    var c = muster_limits()
    c.memory = UInt64(limits.memoryMiB ?? 0) << 20
    c.file = UInt64(limits.fileMiB ?? 0) << 20
    c.cpu = UInt64(resident ? 0 : limits.cpuSeconds ?? 0)
    c.processes = UInt64(limits.processes ?? 0)
    c.files = UInt64(limits.openFiles ?? 0)
    c.nice = Int32(limits.nice)
    // The kernel shall take the trainer first, and leave the agent.
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
  /// The launcher of a program that begins with ``performIfAsked(_:)``, for its ``TrainerRunner``.
  package static let own = ["/proc/self/exe", "exec-trainer"]

  /// What stands before a command that ``own`` puts under these limits, and that ends with this process.
  package static func prefix(_ limits: TrainerLimits) -> [String] {
    own + TrainerLaunch(limits: limits, user: nil, parent: getpid(), resident: false, command: []).arguments
  }

  /// What ``own`` asks of a program, before it does anything else: with `exec-trainer` as its first argument it becomes the trainer, or says why not
  /// and ends. Otherwise it goes on.
  package static func performIfAsked(_ arguments: [String]) {
    guard arguments.dropFirst().first == "exec-trainer" else { return }
    let why = TrainerLaunch(arguments: arguments.dropFirst(2))?.perform() ?? "\(mark)these flags are not understood"
    _ = "\(why)\n".withCString { write(2, $0, strlen($0)) }
    exit(failed)
  }

  /// From ``arguments``; nil when they are not.
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

/// A user that trainers run as.
package struct TrainerAccount: Hashable, Sendable {
  package let uid: UInt32
  package let gid: UInt32
  package let home: String

  /// Nil when there is no such user.
  package init?(_ name: String) {
    var (uid, gid): (uid_t, gid_t) = (0, 0)
    var home = [CChar](repeating: 0, count: 1024)
    guard muster_user(name, &uid, &gid, &home, home.count) == 0 else { return nil }
    self.uid = uid
    self.gid = gid
    self.home = String(decoding: home.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
