import MusterCoordination
import MusterSchema
import MusterTrainers

/// Where things lie below the state folder: `jobs/TASK.ROUND.PHASE`, `trainers/TASK` (what a trainer keeps between rounds), `blobs/DIGEST`,
/// and `failed/…`, the last three jobs that failed, each with its log.
struct JobFolders: Sendable {
  let root: String

  static let failedKept = 3

  init(root: String) throws(FileError) {
    self.root = root
    for folder in ["jobs", "trainers", "blobs", "failed"] { try Files.makeFolder("\(root)/\(folder)") }
  }

  func job(_ task: TaskID, _ key: RoundKey) -> String { "\(root)/jobs/\(name(task, key))" }
  func trainerState(_ task: TaskID) -> String { "\(root)/trainers/\(task)" }
  var blobs: String { "\(root)/blobs" }

  private func name(_ task: TaskID, _ key: RoundKey) -> String { "\(task).\(key.round).\(key.phase.rawValue)" }

  func remove(_ task: TaskID, _ key: RoundKey) { Files.remove(job(task, key)) }

  /// The task has ended: what its trainer kept goes.
  func forget(_ task: TaskID) { Files.remove(trainerState(task)) }

  /// Removes jobs that nobody knows any more.
  func removeOrphans(except jobs: [Job]) {
    let known = Set(jobs.map { name($0.task, $0.key) })
    for entry in Files.names(in: "\(root)/jobs") where !known.contains(entry) { Files.remove("\(root)/jobs/\(entry)") }
  }

  /// Puts a failed job aside, without the model, and forgets older ones.
  func keepFailed(_ task: TaskID, _ key: RoundKey, reason: String, log: [String]) {
    let source = job(task, key)
    guard Files.exists(source) else { return }
    Files.remove("\(source)/global.safetensors")
    Files.remove("\(source)/state")
    do {
      try Files.write(Array((log + [reason, ""]).joined(separator: "\n").utf8), to: "\(source)/trainer.log", durable: false)
    } catch {
      // The disk may be full; the reason is in the agent's own log as well.
    }
    let target = "\(root)/failed/\(name(task, key))"
    Files.remove(target)
    Files.rename(source, to: target)
    Files.remove(source)
    let byAge = Files.names(in: "\(root)/failed").sorted {
      (Files.modified("\(root)/failed/\($0)") ?? 0, $0) > (Files.modified("\(root)/failed/\($1)") ?? 0, $1)
    }
    for entry in byAge.dropFirst(Self.failedKept) { Files.remove("\(root)/failed/\(entry)") }
  }
}
