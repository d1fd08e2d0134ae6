import MusterGround
import MusterParticipation
import MusterSchema
import MusterTrainers

/// The folders below the state folder.
///
///     jobs/TASK.ROUND.PHASE        results
///     jobs/TASK.ROUND.PHASE.MARK   work in progress, with this process's mark
///     trainers/TASK                the state that a trainer keeps between rounds
///     residuals/TASK               the changes that sparse updates have left out so far
///     blobs/DIGEST                 models and training steps
///     failed/…                     the last jobs that failed, each with its log
///     trash/…                      entries that are being removed
struct JobFolders: Sendable {
  let root: String
  /// Tells this process's work folders apart. A trainer that outlived a killed agent may still write to an old one, which is never read.
  private let mark = String(UInt32.random(in: .min ... .max), radix: 36)

  private let trash: TrashFolder
  private let failedKept: Int
  /// Larger files of a failed job are not kept, because the job may have failed by filling the disk.
  private static let largestKept = 16 << 20

  /// - Parameters:
  ///   - failedKept: how many failed jobs are kept for inspection.
  ///   - forOthers: whether some trainers run as other users, who must be able to reach their own folders.
  init(root: String, keepingFailed failedKept: Int = 3, forOthers: Bool = false) throws(FileError) {
    self.root = root
    self.failedKept = failedKept
    for folder in ["jobs", "trainers", "residuals", "blobs", "failed"] { try Files.makeFolder("\(root)/\(folder)") }
    trash = try TrashFolder("\(root)/trash", mark: mark)
    for folder in ["", "/jobs", "/trainers"] { try Files.setMode(root + folder, forOthers ? 0o711 : 0o700) }
  }

  /// The folder in which a result waits for its delivery.
  func job(_ task: TaskID, _ key: RoundKey) -> String { "\(root)/jobs/\(name(task, key))" }
  /// The folder in which a trainer works.
  func work(_ task: TaskID, _ key: RoundKey) -> String { "\(job(task, key)).\(mark)" }
  /// The folder into which the runner moves the trainer's result.
  func taken(_ task: TaskID, _ key: RoundKey) -> String { JobFolder(work(task, key)).taken }
  func trainerState(_ task: TaskID) -> String { "\(root)/trainers/\(task)" }
  func residual(_ task: TaskID) -> String { "\(root)/residuals/\(task)" }
  var blobs: String { "\(root)/blobs" }

  private func name(_ task: TaskID, _ key: RoundKey) -> String { "\(task).\(key.round).\(key.phase.rawValue)" }

  func remove(_ task: TaskID, _ key: RoundKey) {
    for folder in [work(task, key), taken(task, key), job(task, key)] { trash.take(folder) }
  }

  /// Called when the work is done and packed. Keeps only the result that was moved out of the trainer's reach.
  func settle(_ task: TaskID, _ key: RoundKey) throws(FileError) {
    trash.take(job(task, key))
    try Files.rename(taken(task, key), to: job(task, key))
    trash.take(work(task, key))
  }

  /// Called when the task has ended. Removes the state of its trainer and its residual.
  func forget(_ task: TaskID) {
    trash.take(trainerState(task))
    Files.remove(residual(task))
  }

  /// Called when the update was accepted. The next update starts from what this one left out.
  func keepResidual(_ task: TaskID, _ key: RoundKey) throws(FileError) {
    let pending = "\(job(task, key))/\(ContributionBody.residual)"
    if Files.exists(pending) { try Files.rename(pending, to: residual(task)) }
  }

  /// Removes the folders of jobs that the journal does not know.
  func removeOrphans(except jobs: [Job]) {
    let known = Set(jobs.map { name($0.task, $0.key) })
    for entry in Files.names(in: "\(root)/jobs") where !known.contains(entry) { trash.take("\(root)/jobs/\(entry)") }
  }

  /// Moves a failed job to `failed/`, without the model, and removes older ones.
  func keepFailed(_ task: TaskID, _ key: RoundKey, reason: String, log: [String]) {
    let unfinished = work(task, key)
    trash.take(taken(task, key))
    let source = Files.exists(unfinished) ? unfinished : job(task, key)
    guard Files.exists(source) else { return }
    guard failedKept > 0 else { return trash.take(source) }
    Files.remove("\(source)/global.safetensors")
    Files.remove("\(source)/state")
    var log = log
    for entry in Files.names(in: source) {
      guard let size = Files.ownSize("\(source)/\(entry)"), size > Self.largestKept else { continue }
      Files.remove("\(source)/\(entry)")
      log.append("(\(entry.withoutControlCharacters), \(size >> 20) MiB, was not kept)")
    }
    let target = "\(root)/failed/\(name(task, key))"
    trash.take(target)
    do {
      try Files.replace("\(source)/trainer.log", with: Array((log + [reason, ""]).joined(separator: "\n").utf8), durable: false)
      try Files.rename(source, to: target)
    } catch {
      // The disk may be full. The reason is in the agent's own log as well.
      trash.take(source)
    }
    let byAge = Files.names(in: "\(root)/failed").sorted {
      (Files.modified("\(root)/failed/\($0)") ?? 0, $0) > (Files.modified("\(root)/failed/\($1)") ?? 0, $1)
    }
    for entry in byAge.dropFirst(failedKept) { trash.take("\(root)/failed/\(entry)") }
  }
}
