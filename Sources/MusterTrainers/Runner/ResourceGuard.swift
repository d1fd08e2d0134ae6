internal import Glibc
import MusterGround

/// Checks the limits that the kernel does not enforce: a job's output and its disk space, which is measured once a second.
struct ResourceGuard {
  let outputBytes: Int
  private let limits: TrainerLimits
  private let folder: JobFolder
  private var nextLook: ContinuousClock.Instant
  /// Size of the job folder before the job, which is that of the model.
  private let given: Int

  static let interval = Duration.seconds(1)

  init(_ limits: TrainerLimits, _ folder: JobFolder) {
    self.limits = limits
    self.folder = folder
    outputBytes = limits.outputMiB << 20
    given = limits.diskMiB == nil ? 0 : Files.usage(of: folder.path)
    nextLook = .now + .milliseconds(100)
  }

  /// The exceeded limit, as a phrase that follows "the trainer"; `nil` if there is none.
  mutating func excess(output: Int, at now: ContinuousClock.Instant) -> String? {
    guard output <= outputBytes else { return "printed more than \(limits.outputMiB) MiB" }
    guard now >= nextLook else { return nil }
    nextLook = now + Self.interval
    if let most = limits.diskMiB, Files.usage(of: folder.path) - given + kept > most << 20 {
      return "stored more than \(most) MiB in its folders"
    }
    var room = statvfs()
    if limits.freeMiB > 0, statvfs(folder.path, &room) == 0, Int(room.f_bavail) * Int(room.f_frsize) < limits.freeMiB << 20 {
      return "filled the disk: less than \(limits.freeMiB) MiB is free"
    }
    return nil
  }

  /// Size of the trainer's kept state, if it is outside the job folder.
  private var kept: Int {
    var status = stat()
    return lstat(folder.state, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK ? Files.usage(of: "\(folder.state)/.") : 0
  }
}
