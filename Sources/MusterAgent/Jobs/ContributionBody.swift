import MusterGround
import MusterParticipation
import MusterSchema
import MusterTensors
import MusterTrainers
import MusterTransfer

/// Builds the body of a contribution: the trainer's tensors behind a header with weight and metrics, or an evaluation.
///
/// The tensors are not copied. The header is written to `upload.head` beside them, and both are sent as one body.
enum ContributionBody {
  private static let tensors = "update.safetensors"
  private static let head = "upload.head"
  private static let evaluation = "evaluation.json"
  /// An update that is sent encoded, not as the trainer wrote it.
  private static let encoded = "encoded.safetensors"
  /// The part of the changes that the encoded update leaves out, until the ledger has accepted the update.
  static let residual = "residual.safetensors"

  /// Packs an update.
  ///
  /// - Parameters:
  ///   - folder: the folder into which the runner moved the trainer's result, out of the trainer's reach.
  ///   - encoding: the encoding of the update; `nil` sends the tensors unchanged.
  ///   - base: the model that the trainer was given.
  ///   - residual: the file with the changes that sparse updates have left out so far.
  static func pack(
    _ outcome: TrainerOutcome, of trainer: String, in folder: String, for job: Job, maximumWeight: Double,
    encoding: TensorEncoding? = nil, base: String, residual: String
  ) async throws -> JobResult {
    let update = "\(folder)/\(tensors)"
    let file = try SafetensorsFile(path: update)
    var metrics = outcome.result.metrics
    metrics["initialLoss"] = outcome.result.initialLoss ?? metrics["initialLoss"]
    var metadata = [
      "muster.task": "\(job.task)", "muster.round": "\(job.key.round)", "muster.base": "\(job.invitation.base.digest)",
      // A task may bound the weight of one device. The device trains on all of its samples nevertheless.
      "muster.trainer": trainer,
      "muster.weight": "\(min(outcome.result.samples, maximumWeight))",
      "muster.content": file.metadata["muster.content"] == "delta" ? "delta" : "parameters",
      "muster.metrics": String(decoding: try JSON.encode(metrics), as: UTF8.self),
    ]
    if let encoding {
      metadata["muster.content"] = "delta"
      try await encode(file, since: base, as: encoding, metadata, in: folder, residual: residual)
      let (digest, bytes) = try await measure(UploadSource(file: "\(folder)/\(encoded)"))
      return JobResult(file: encoded, digest: digest, bytes: bytes)
    }
    let header = try file.header.replacing(metadata: metadata).encoded()
    try Files.replace("\(folder)/\(head)", with: header, durable: false)
    let (digest, bytes) = try await measure(UploadSource(file: update, offset: file.header.dataOffset, head: header))
    return JobResult(file: tensors, digest: digest, bytes: bytes)
  }

  private static func encode(
    _ update: SafetensorsFile, since base: String, as encoding: TensorEncoding, _ metadata: [String: String], in folder: String,
    residual kept: String
  ) async throws {
    let pending = "\(folder)/\(residual)"
    let isDelta = update.metadata["muster.content"] == "delta"
    let model = try SafetensorsFile(path: base)
    try await offloadLong { () throws(SafetensorsError) in
      var left: SafetensorsFile?
      if !encoding.encodesModels, Files.exists(kept) {
        // A residual that was damaged by a loss of power counts as zeros.
        do { left = try SafetensorsFile(path: kept) } catch { Files.remove(kept) }
      }
      try encoding.encode(
        update: update, since: isDelta ? nil : model, buffers: model.buffers(), to: "\(folder)/\(encoded)", metadata: metadata,
        residual: left,
        newResidual: encoding.encodesModels ? nil : pending)
    }
  }

  /// The path of the model as a trainer can read it. An encoded model is decoded into a file beside it.
  static func decoded(_ model: String) async throws -> String {
    let file = try EncodedFile(SafetensorsFile(path: model))
    guard file.encoding != nil else { return model }
    let plain = "\(model).float32"
    try await offloadLong { () throws(SafetensorsError) in try file.decode(to: plain) }
    try Files.setMode(plain, 0o444)
    return plain
  }

  static func pack(evaluation result: TrainerMetrics, in folder: String, for job: Job) async throws -> JobResult {
    let body = try JSON.encode(Evaluation(base: job.invitation.base.digest, weight: result.samples, metrics: result.metrics))
    try Files.replace("\(folder)/\(evaluation)", with: body, durable: false)
    return JobResult(file: evaluation, digest: Digest(of: body), bytes: body.count)
  }

  /// The upload source and the media type of a result in a job's folder.
  static func source(_ result: JobResult, in folder: String) throws -> (source: UploadSource, contentType: String) {
    let path = "\(folder)/\(result.file)"
    if result.file == encoded { return (UploadSource(file: path), "application/octet-stream") }
    guard result.file == tensors else { return (UploadSource(file: path), "application/json") }
    let header = try Files.read("\(folder)/\(head)", atMost: SafetensorsHeader.absoluteMaximumLength)
    let offset = try SafetensorsHeader(readingFile: path).dataOffset
    return (UploadSource(file: path, offset: offset, head: header), "application/octet-stream")
  }

  /// Flushes a result that has to wait for its delivery to the disk.
  static func secure(_ result: JobResult, in folder: String) throws(FileError) {
    try Files.makeDurable("\(folder)/\(result.file)")
    if result.file == tensors { try Files.makeDurable("\(folder)/\(head)") }
    if Files.exists("\(folder)/\(residual)") { try Files.makeDurable("\(folder)/\(residual)") }
    try Files.makeDurable(folder)
    // The folder's own name is new as well.
    try Files.makeDurable("\(folder)/..")
  }
}
