internal import Glibc

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
    given = limits.diskMiB == nil ? 0 : Self.bytes(in: folder.path)
    nextLook = .now + .milliseconds(100)
  }

  /// What is too much, in words that follow "the trainer".
  mutating func excess(output: Int, at now: ContinuousClock.Instant) -> String? {
    guard output <= outputBytes else { return "printed more than \(limits.outputMiB) MiB" }
    guard now >= nextLook else { return nil }
    nextLook = now + Self.interval
    if let most = limits.diskMiB, Self.bytes(in: folder.path) - given + kept > most << 20 {
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
    return lstat(folder.state, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK ? Self.bytes(in: "\(folder.state)/.") : 0
  }

  /// What the files of a folder take up. Links are not followed, and nobody nests deeper than 32 folders in earnest.
  private static func bytes(in folder: String, depth: Int = 0) -> Int {
    guard depth < 32, let handle = opendir(folder) else { return 0 }
    defer { closedir(handle) }
    var sum = 0
    while let entry = readdir(handle) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name == "." || name == ".." { continue }
      var status = stat()
      guard lstat("\(folder)/\(name)", &status) == 0 else { continue }
      switch status.st_mode & S_IFMT {
      case S_IFREG: sum += Int(status.st_blocks) * 512
      case S_IFDIR: sum += bytes(in: "\(folder)/\(name)", depth: depth + 1)
      default: break
      }
    }
    return sum
  }
}
