internal import CSpawn
internal import Glibc
import MusterGround
internal import MusterSchema

/// A folder that a trainer works in: `task.json` and `global.safetensors` in, `update.safetensors` and `metrics.json` out, `state/` kept.
public struct JobFolder: Hashable, Sendable {
  /// Absolute.
  public let path: String

  /// - Parameter path: absolute, or relative to the working folder.
  public init(_ path: String) {
    if path.hasPrefix("/") {
      self.path = path
    } else {
      var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
      let folder = getcwd(&buffer, buffer.count) == nil ? "" : String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
      self.path = "\(folder)/\(path)"
    }
  }

  public var task: String { "\(path)/task.json" }
  public var global: String { "\(path)/global.safetensors" }
  public var update: String { "\(path)/update.safetensors" }
  public var metrics: String { "\(path)/metrics.json" }
  public var state: String { "\(path)/state" }

  /// Beside the job folder: where the runner puts what a trainer left, out of its reach. A trainer, or a process that it forgot, may still
  /// truncate or replace any file of the job folder while that is read.
  public var taken: String { "\(path).taken" }

  /// Removes the job folder and what was taken out of it.
  public func remove() throws(TrainerError) {
    for folder in [taken, path] {
      if let code = Files.remove(folder) {
        errno = code
        throw failure("remove", folder)
      }
    }
  }

  /// Where a job of this kind leaves its tensors; nil for evaluate.
  public func result(of kind: TrainerJobDescription.Kind) -> String? {
    switch kind {
    case .initialize: global
    case .train: update
    case .evaluate: nil
    }
  }

  /// Makes the folder ready for a job: leftovers of an earlier attempt go, `global.safetensors` becomes a copy of `global` (what a trainer
  /// does to it is nobody else's business; where the file system can, they share their blocks), `state` a link to `state`, and `task.json`
  /// is written last.
  /// - Parameters:
  ///   - global: the model to train or evaluate; nil for initialize.
  ///   - sharing: `global.safetensors` is a hard link where it can be, for a caller who finds out when a trainer writes to it all the same.
  ///   - step: the model's exported training step, which lies here as `model.step` says; nil: without one.
  ///   - state: a folder that outlives the job, made if it is missing; nil: a `state` folder within the job's.
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
      // An empty folder of an earlier job without a kept one.
      rmdir(state)
      guard symlink(JobFolder(keep).path, state) == 0 else { throw failure("link", state) }
    } else {
      try makeFolder(state)
    }
    let bytes: [UInt8]
    do { bytes = try JSON.encode(job) } catch { throw .jobFolder("task.json cannot be written: \(error)") }
    do { try Files.replace(task, with: bytes, durable: false) } catch { throw .jobFolder("\(error)") }
  }

  /// Lets a trainer that runs as another user work here: the folder, `task.json`, and what it keeps between rounds become that user's.
  public func hand(to user: String) throws(TrainerError) {
    guard let account = TrainerAccount(user) else { throw .jobFolder("there is no user \"\(user.withoutControlCharacters)\"") }
    // `state` is ours or a link of ours up to here: it may be followed once.
    for entry in [task, state, path] {
      guard chown(entry, account.uid, account.gid) == 0 else { throw failure("hand over", entry) }
    }
  }

  private func makeFolder(_ folder: String) throws(TrainerError) {
    var status = stat()
    if mkdir(folder, 0o700) == 0 || (errno == EEXIST && stat(folder, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR) { return }
    throw failure("make", folder)
  }

  /// Removes a file or a link; a folder stays.
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
