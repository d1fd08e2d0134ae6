internal import CSpawn
internal import Glibc
import MusterGround
internal import MusterSchema

/// The folder of one job: `task.json` and `global.safetensors` in, `update.safetensors` and `metrics.json` out.
///
/// The trainer's `state/` in it is kept between rounds. docs/trainers.md describes the contract.
public struct JobFolder: Hashable, Sendable {
  /// The absolute path.
  public let path: String

  /// The folder at this path, which need not exist yet.
  ///
  /// - Parameter path: absolute, or relative to the working folder.
  public init(_ path: String) {
    self.path = path.hasPrefix("/") ? path : "\(Files.currentFolder)/\(path)"
  }

  /// Path of `task.json`, the job's description.
  public var task: String { "\(path)/task.json" }
  /// Path of `global.safetensors`: the model to train or evaluate, or the first model that `initialize` makes.
  public var global: String { "\(path)/global.safetensors" }
  /// Path of `update.safetensors`, the result of training.
  public var update: String { "\(path)/update.safetensors" }
  /// Path of `metrics.json`, whose presence means that the job is complete.
  public var metrics: String { "\(path)/metrics.json" }
  /// Path of `state`, which belongs to the trainer.
  public var state: String { "\(path)/state" }

  /// Path of a folder beside the job folder into which the runner copies a trainer's result. A trainer, or a process that it left behind,
  /// can still change or truncate files of the job folder while they are read, but not these.
  public var taken: String { "\(path).taken" }

  /// Removes the job folder and the copied result.
  ///
  /// - Throws: `jobFolder`.
  public func remove() throws(TrainerError) {
    for folder in [taken, path] {
      if let code = Files.remove(folder) {
        errno = code
        throw failure("remove", folder)
      }
    }
  }

  /// Path of the tensors that a job of this kind produces; `nil` for `evaluate`.
  public func result(of kind: TrainerJobDescription.Kind) -> String? {
    switch kind {
    case .initialize: global
    case .train: update
    case .evaluate: nil
    }
  }

  /// Prepares the folder for a job: removes files of an earlier attempt, and writes `task.json` last.
  ///
  /// - Parameters:
  ///   - source: path of the model to train or evaluate, of which `global.safetensors` becomes a copy (sharing blocks where the file system
  ///     can); `nil` for `initialize`.
  ///   - sharing: makes `global.safetensors` a hard link where possible. The caller must then detect a trainer that writes to it.
  ///   - step: path of the model's exported training step, which is copied to the name in `model.step`; `nil` without one.
  ///   - keep: a folder that outlives the job, to which `state` becomes a link; made if missing. `nil` makes a folder `state` in the job's.
  /// - Throws: `jobFolder`.
  public func prepare(
    _ job: TrainerJobDescription, global source: String? = nil, sharing: Bool = false, step: String? = nil, state keep: String? = nil
  ) throws(TrainerError) {
    try makeFolder(path)
    for leftover in [metrics, update, task, global] { try remove(leftover) }
    if let source, !sharing || link(JobFolder(source).path, global) != 0 { try copy(source, to: global) }
    if let step, let file = job.model.step?.file {
      try remove("\(path)/\(file)")
      try copy(step, to: "\(path)/\(file)")
    }
    if let keep {
      try makeFolder(keep)
      try remove(state)
      // Removes the empty folder of an earlier job without a kept one.
      rmdir(state)
      guard symlink(JobFolder(keep).path, state) == 0 else { throw failure("link", state) }
    } else {
      try makeFolder(state)
    }
    let bytes: [UInt8]
    do { bytes = try JSON.encode(job) } catch { throw .jobFolder("task.json cannot be written: \(error)") }
    do { try Files.replace(task, with: bytes, durable: false) } catch { throw .jobFolder("\(error)") }
  }

  /// Gives the folder, `task.json` and the trainer's `state` to the user that the trainer runs as. Needs root for another user.
  ///
  /// - Throws: `jobFolder`.
  public func hand(to user: String) throws(TrainerError) {
    guard let account = TrainerAccount(user) else { throw .jobFolder("there is no user \"\(user.withoutControlCharacters)\"") }
    // Until now, `state` is this process's own folder or link, so following the link once is safe.
    for entry in [task, state, path] {
      guard chown(entry, account.uid, account.gid) == 0 else { throw failure("change the owner of", entry) }
    }
  }

  private func makeFolder(_ folder: String) throws(TrainerError) {
    var status = stat()
    if mkdir(folder, 0o700) == 0 || (errno == EEXIST && stat(folder, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR) { return }
    throw failure("make", folder)
  }

  /// Removes a file or a link; leaves a folder.
  private func remove(_ file: String) throws(TrainerError) {
    guard unlink(file) == 0 || errno == ENOENT || errno == EISDIR else { throw failure("remove", file) }
  }

  private func copy(_ source: String, to target: String) throws(TrainerError) {
    let source = JobFolder(source).path
    let from = open(source, O_RDONLY | O_CLOEXEC)
    guard from >= 0 else { throw failure("read", source) }
    defer { close(from) }
    let to = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o444)
    guard to >= 0 else { throw failure("make", target) }
    defer { close(to) }
    let code = muster_copy(from, to, UInt64.max)
    guard code == 0 else {
      errno = code
      throw failure("copy", source)
    }
  }

  private func failure(_ verb: String, _ path: String) -> TrainerError {
    .jobFolder("cannot \(verb) \(path): \(String(cString: strerror(errno)))")
  }
}
