internal import CSpawn
internal import Glibc

/// How a trainer's process comes under its limits: no hook runs between fork and exec, so the agent executes itself,
/// `muster-agent exec-trainer …`, sets them, and then becomes the trainer.
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
