internal import Glibc
import MusterGround

/// Looks, once a second, after what the kernel has no limit for: what a job prints, and the room that it takes on the disk.
struct ResourceGuard {
  let outputBytes: Int
  private let limits: TrainerLimits
  private let folder: JobFolder
  private var nextLook: ContinuousClock.Instant
  /// What lay in the job folder before: the model.
  private let given: Int

  static let interval = Duration.seconds(1)

  init(_ limits: TrainerLimits, _ folder: JobFolder) {
    self.limits = limits
    self.folder = folder
    outputBytes = limits.outputMiB << 20
    given = limits.diskMiB == nil ? 0 : Files.usage(of: folder.path)
    nextLook = .now + .milliseconds(100)
  }

  /// What is too much, in words that follow "the trainer".
  mutating func excess(output: Int, at now: ContinuousClock.Instant) -> String? {
    guard output <= outputBytes else { return "printed more than \(limits.outputMiB) MiB" }
    guard now >= nextLook else { return nil }
    nextLook = now + Self.interval
    if let most = limits.diskMiB, Files.usage(of: folder.path) - given + kept > most << 20 {
      return "left more than \(most) MiB in its folders"
    }
    var room = statvfs()
    if limits.freeMiB > 0, statvfs(folder.path, &room) == 0, Int(room.f_bavail) * Int(room.f_frsize) < limits.freeMiB << 20 {
      return "filled the disk: fewer than \(limits.freeMiB) MiB are free"
    }
    return nil
  }

  /// What the trainer keeps between rounds, where that is not in the job folder itself.
  private var kept: Int {
    var status = stat()
    return lstat(folder.state, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK ? Files.usage(of: "\(folder.state)/.") : 0
  }
}
