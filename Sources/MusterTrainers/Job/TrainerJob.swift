internal import Glibc
import MusterGround
internal import MusterSchema
public import MusterTensors

/// One job as a trainer sees it: what to do, how to report progress, and where to write the result. Not for use by several threads.
///
/// A trainer calls ``progress(_:epoch:loss:)`` now and then, and one of the `finish` functions at the end. Each file of the result appears
/// whole, and `metrics.json` last, because its presence means that the job is complete.
public final class TrainerJob {
  /// The job's description, from `task.json`.
  public let description: TrainerJobDescription
  /// The job's folder.
  public let folder: JobFolder
  private let task: [UInt8]
  private let output: ProtocolOutput
  private var lastProgress: ContinuousClock.Instant?

  /// Reads `task.json`.
  ///
  /// - Throws: `unreadable`, or `newerContract`.
  init(folder path: String, output: ProtocolOutput) throws(TrainerJobError) {
    struct Contract: Decodable { var contract: Int }
    folder = JobFolder(path)
    self.output = output
    do {
      task = try Files.readUntrusted(folder.task, atMost: 1 << 20)
    } catch {
      throw .unreadable("\(error)")
    }
    do {
      // The version is decoded first, because a newer contract may differ elsewhere.
      let version = try JSON.decode(Contract.self, from: task).contract
      guard version <= TrainerJobDescription.contract else { throw TrainerJobError.newerContract(version) }
      description = try JSON.decode(TrainerJobDescription.self, from: task)
    } catch let error as TrainerJobError {
      throw error
    } catch {
      throw .unreadable("task.json: \(JSON.explain(error, in: task))")
    }
  }

  /// The device's data configuration, decoded as the trainer's own type.
  ///
  /// - Throws: `unreadable` if the device has none or it does not fit the type.
  public func data<Configuration: Decodable>(as _: Configuration.Type) throws(TrainerJobError) -> Configuration {
    guard description.data != nil, description.data != .null else {
      throw .unreadable("no data is configured: the configuration has no `data`")
    }
    do {
      return try JSON.decode(DataEnvelope<Configuration>.self, from: task).data
    } catch {
      throw .unreadable("the data configuration is not valid: \(JSON.explain(error, in: task))")
    }
  }

  /// The global model, memory-mapped.
  ///
  /// - Throws: `unreadable`.
  public func global() throws(TrainerJobError) -> SafetensorsFile {
    do { return try SafetensorsFile(path: folder.global) } catch { throw .unreadable("global.safetensors: \(error)") }
  }

  /// Reports the completed part of the job, 0 to 1. Writes at most ten lines a second, and always the first and the last one.
  ///
  /// - Throws: `cancelled` after SIGTERM or SIGINT. Let it propagate; no cleanup is needed.
  public func progress(_ fraction: Double, epoch: Int? = nil, loss: Double? = nil) throws(TrainerJobError) {
    if Termination.isRequested { throw .cancelled }
    let now = ContinuousClock.now
    if let lastProgress, now - lastProgress < .milliseconds(100), fraction < 1 { return }
    lastProgress = now
    guard fraction.isFinite else { return }
    var line = "{\"progress\":\(fraction)"
    if let epoch { line += ",\"epoch\":\(epoch)" }
    if let loss, loss.isFinite { line += ",\"loss\":\(loss)" }
    output.write("\(line)}")
  }

  /// Writes the resulting tensors and the metrics: parameters for `train`, the first model for `initialize`, no tensors for `evaluate`.
  ///
  /// - Parameter buffers: for `initialize`, the names of tensors that are state (see `ModelBuffers`); `nil` makes no declaration.
  /// - Throws: `badResult`, before anything is written, if a number is not finite, a buffer is not a tensor, tensors are missing, or there
  ///   were no samples. `notWritten` if a file cannot be written.
  public func finish(
    _ tensors: [Tensor] = [], buffers: [String]? = nil, metrics: TrainerMetrics
  ) throws(TrainerJobError) {
    try check(metrics)
    if let file = folder.result(of: description.job) {
      guard !tensors.isEmpty else {
        throw .badResult("a job of kind \(description.job.rawValue) must return parameters, but there are none")
      }
      let bytes: [UInt8]
      do {
        for tensor in tensors where tensor.dtype.isFloatingPoint {
          guard try tensor.floats().allSatisfy(\.isFinite) else { throw TrainerJobError.badResult("tensor \(tensor.name) is not finite") }
        }
        var metadata: [String: String] = [:]
        if let buffers { metadata[ModelBuffers.metadataKey] = String(decoding: try JSON.encode(buffers.sorted()), as: UTF8.self) }
        if let problem = try ModelBuffers(metadata: metadata).problem(in: TensorSchema(tensors.map(\.description))) {
          throw TrainerJobError.badResult(problem)
        }
        bytes = try SafetensorsWriter.bytes(tensors, metadata: metadata)
      } catch let error as TrainerJobError {
        throw error
      } catch {
        throw .badResult("\(error)")
      }
      try write(bytes, to: file)
    }
    try write(metrics)
  }

  /// Writes the unchanged global model as the result of training.
  ///
  /// - Throws: `badResult` for invalid metrics, `unreadable`, or `notWritten`.
  public func finishUnchanged(metrics: TrainerMetrics) throws(TrainerJobError) {
    try check(metrics)
    unlink(folder.update)
    var status = stat()
    // Linking a link would make another link, which the agent refuses as a result.
    if lstat(folder.global, &status) != 0 || status.st_mode & S_IFMT != S_IFREG || link(folder.global, folder.update) != 0 {
      let bytes: [UInt8]
      do { bytes = try Files.readUntrusted(folder.global, atMost: .max, followingLinks: true) } catch { throw .unreadable("\(error)") }
      try write(bytes, to: folder.update)
    }
    try write(metrics)
  }

  private func check(_ metrics: TrainerMetrics) throws(TrainerJobError) {
    if let problem = metrics.problem(for: description.job) { throw .badResult(problem) }
  }

  private func write(_ metrics: TrainerMetrics) throws(TrainerJobError) {
    let bytes: [UInt8]
    do { bytes = try JSON.encode(metrics) } catch { throw .badResult("\(error)") }
    try write(bytes, to: folder.metrics)
  }

  private func write(_ bytes: [UInt8], to path: String) throws(TrainerJobError) {
    do { try Files.replace(path, with: bytes, durable: false) } catch { throw .notWritten("\(error)") }
  }
}

private struct DataEnvelope<Configuration: Decodable>: Decodable { var data: Configuration }
