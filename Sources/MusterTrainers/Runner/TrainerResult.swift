internal import CSpawn
internal import FoundationEssentials
internal import Glibc
import MusterGround
internal import MusterSchema
internal import MusterTensors

/// The tensors of a global model. The file is read and not mapped, because a resident trainer may still have a link to it.
func readSchema(_ model: String) throws(TrainerError) -> TensorSchema {
  do { return try SafetensorsHeader(readingFile: model).schema } catch { throw .jobFolder("\(error)") }
}

/// Copies a job's result to a place where the trainer cannot change it, and checks the copy.
///
/// Truncating a file that another process has mapped ends that process with SIGBUS, and a trainer, or a process that it left behind, may do
/// so at any time after it reported success. So the tensors are copied into a folder that only this process's user can access (sharing
/// blocks where the file system can), and only the copy is mapped.
struct ResultTaker {
  let kind: TrainerJobDescription.Kind
  let folder: JobFolder
  /// The tensors of the global model, which an update must have; `nil` for other jobs.
  let base: TensorSchema?
  /// The trainer's user if it differs from ours. A file of another user, such as a hard link to one, is refused.
  let owner: UInt32?
  let log: [String]

  private func readMetrics() throws(TrainerError) -> TrainerMetrics {
    let file = try open(folder.metrics)
    defer { close(file) }
    let bytes: [UInt8]
    do {
      bytes = try Files.readAll(file, folder.metrics, atMost: 1 << 20)
    } catch {
      throw .malformed("metrics.json: \(error)", log: log)
    }
    do {
      return try JSON.decode(TrainerMetrics.self, from: bytes)
    } catch {
      guard let fault = JSONFault(in: bytes), fault.isNonFinite else {
        throw .malformed("metrics.json: \(JSON.explain(error, in: bytes))", log: log)
      }
      // Python writes NaN and Infinity, which are not valid JSON. Naming the metric helps more than the position.
      let metric = fault.place.hasPrefix("metrics.") ? "the metric \(fault.place.dropFirst(8))" : fault.place
      throw .nonFinite("\(metric) is not a finite number", log: log)
    }
  }

  /// - Returns: the contents of `metrics.json`, and the path of the copied tensors; `nil` for a job without tensors.
  func take() throws(TrainerError) -> (metrics: TrainerMetrics, parameters: String?) {
    let metrics = try readMetrics()
    if let problem = metrics.problem(for: kind) { throw .nonFinite(problem, log: log) }
    if let code = Files.remove(folder.taken) { throw failure("remove", folder.taken, code) }
    guard mkdir(folder.taken, 0o700) == 0 else { throw failure("make", folder.taken, errno) }
    guard let path = folder.result(of: kind) else { return (metrics, nil) }
    let copy = "\(folder.taken)/\(name(path))"
    try takeOut(path, to: copy)
    try check(copy)
    return (metrics, copy)
  }

  private func takeOut(_ path: String, to copy: String) throws(TrainerError) {
    let from = try open(path)
    defer { close(from) }
    var status = stat()
    guard fstat(from, &status) == 0 else { throw failure("examine", path, errno) }
    let size = Int64(status.st_size)
    guard size <= mostBytes else { throw .malformed("\(name(path)) has \(size) bytes, but at most \(mostBytes) are allowed", log: log) }
    var room = statvfs()
    if statvfs(folder.taken, &room) == 0 {
      // A sparse file takes its full size once it is copied.
      let free = Int64(clamping: UInt64(room.f_bavail).multipliedReportingOverflow(by: UInt64(room.f_frsize)).partialValue)
      guard size <= free else { throw failure("copy", path, ENOSPC) }
    }
    let to = Glibc.open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard to >= 0 else { throw failure("make", copy, errno) }
    defer { close(to) }
    let code = muster_copy(from, to, UInt64(size))
    guard code == 0 else { throw failure("copy", path, code) }
  }

  /// The largest possible update: the base's tensors in a type of eight bytes, and a header.
  private var mostBytes: Int64 {
    guard let base else { return .max }
    let elements = base.tensors.reduce(0) { $0 + ($1.dtype.byteCount(shape: $1.shape) ?? 0) / $1.dtype.byteSize }
    return Int64(elements) * 8 + Int64(SafetensorsHeader.defaultMaximumLength) + 8
  }

  private func check(_ copy: String) throws(TrainerError) {
    let file: SafetensorsFile
    do { file = try SafetensorsFile(path: copy) } catch { throw .malformed("\(error)", log: log) }
    if let base, let difference = file.schema.difference(from: base, anyFloatingPoint: true) {
      throw .malformed("\(name(copy)): \(difference.withoutControlCharacters)", log: log)
    }
    if let wrong = file.nonFiniteTensor() { throw .nonFinite("tensor \(wrong.withoutControlCharacters) is not finite", log: log) }
    // A first model is checked like one that an operator uploads.
    if kind == .initialize, let problem = file.problemAsModel() { throw .malformed("\(name(copy)): \(problem)", log: log) }
  }

  /// Opens a regular file of the job folder. Links are refused, because the contents go to a server; opening a pipe would block.
  private func open(_ path: String) throws(TrainerError) -> Int32 {
    let file = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard file >= 0 else {
      switch errno {
      case ELOOP: throw .malformed("\(name(path)) is a link, but must be a regular file", log: log)
      case ENOENT: throw .noResult(file: name(path), log: log)
      case ENXIO: throw .malformed("\(name(path)) is not a regular file", log: log)
      case let code: throw failure("read", path, code)
      }
    }
    var status = stat()
    let isPlain = fstat(file, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    guard isPlain, owner.map({ $0 == status.st_uid }) ?? true else {
      close(file)
      throw .malformed("\(name(path)) \(isPlain ? "belongs to a user other than the trainer's" : "is not a regular file")", log: log)
    }
    return file
  }

  private func failure(_ verb: String, _ path: String, _ code: Int32) -> TrainerError {
    .jobFolder("cannot \(verb) \(path): \(String(cString: strerror(code)))")
  }

  private func name(_ path: String) -> String { path.split(separator: "/").last.map { String($0) } ?? path }
}
