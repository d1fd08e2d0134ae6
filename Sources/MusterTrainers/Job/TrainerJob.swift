internal import Glibc
import MusterGround
internal import MusterSchema
public import MusterTensors

/// One job from a trainer's side: what to do, where to report, where to leave the result. Not shared between threads.
///
/// A trainer calls ``progress(_:epoch:loss:)`` now and then, and one of the `finish` functions at the end. Files of the result appear whole;
/// `metrics.json` comes last, because its presence means that the job is complete.
public final class TrainerJob {
  public let description: TrainerJobDescription
  public let folder: JobFolder
  private let task: [UInt8]
  private let output: ProtocolOutput
  private var lastProgress: ContinuousClock.Instant?

  /// Reads `task.json`.
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
      // Alone first: a newer contract may look different elsewhere.
      let version = try JSON.decode(Contract.self, from: task).contract
      guard version <= TrainerJobDescription.contract else { throw TrainerJobError.newerContract(version) }
      description = try JSON.decode(TrainerJobDescription.self, from: task)
    } catch let error as TrainerJobError {
      throw error
    } catch {
      throw .unreadable("task.json: \(JSON.explain(error, in: task))")
    }
  }

  /// The device's data configuration in the trainer's own terms.
  /// - Throws: `unreadable` when the device has none, or it does not fit.
  public func data<Configuration: Decodable>(as _: Configuration.Type) throws(TrainerJobError) -> Configuration {
    guard description.data != nil, description.data != .null else {
      throw .unreadable("this device has no data: its configuration has nothing under `data`")
    }
    do {
      return try JSON.decode(DataEnvelope<Configuration>.self, from: task).data
    } catch {
      throw .unreadable("the device's configuration, \(JSON.explain(error, in: task))")
    }
  }

  /// The global model, memory-mapped.
  public func global() throws(TrainerJobError) -> SafetensorsFile {
    do { return try SafetensorsFile(path: folder.global) } catch { throw .unreadable("global.safetensors: \(error)") }
  }

  /// Reports how far the job is: at most ten lines a second are written, the first and the last always.
  /// - Throws: `cancelled` after a SIGTERM: let it through, nothing needs to be tidied up.
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

  /// Leaves the resulting parameters (of initialize: the first model; of evaluate: pass none) and the metrics.
  ///
  /// - Parameter buffers: of initialize: the names of the tensors that are state and not parameters, see `ModelBuffers`; nil declares nothing.
  /// - Throws: `badResult` before anything is written, when a number is not finite, a buffer is not a tensor, or there were no samples.
  public func finish(
    _ tensors: [Tensor] = [], buffers: [String]? = nil, metrics: TrainerMetrics
  ) throws(TrainerJobError) {
    try check(metrics)
    if let file = folder.result(of: description.job) {
      guard !tensors.isEmpty else { throw .badResult("a job of kind \(description.job.rawValue) leaves parameters") }
      let bytes: [UInt8]
      do {
        for tensor in tensors where tensor.dtype.isFloatingPoint {
          guard try tensor.floats().allSatisfy(\.isFinite) else { throw TrainerJobError.badResult("\(tensor.name) is not finite") }
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

  /// Leaves the global model as the result of training, as it is.
  public func finishUnchanged(metrics: TrainerMetrics) throws(TrainerJobError) {
    try check(metrics)
    unlink(folder.update)
    var status = stat()
    // A link of a link would be none that the agent takes.
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
