import MusterCoordination
import MusterSchema
import MusterTensors
import MusterTrainers
import MusterTransfer

/// What goes up: the trainer's tensors behind a header with weight and metrics, or an evaluation.
///
/// The tensors are not copied: the header lies beside them in `upload.head`, and both are sent as one body.
enum Contribution {
  private static let tensors = "update.safetensors"
  private static let head = "upload.head"
  private static let evaluation = "evaluation.json"

  static func pack(
    _ outcome: TrainerOutcome, of trainer: String, in folder: JobFolder, for job: Job, maximumWeight: Double
  ) async throws -> JobResult {
    let file = try SafetensorsFile(path: folder.update)
    var metrics = outcome.result.metrics
    metrics["initialLoss"] = outcome.result.initialLoss ?? metrics["initialLoss"]
    let metadata = [
      "muster.task": "\(job.task)", "muster.round": "\(job.key.round)", "muster.base": "\(job.invitation.base.digest)",
      // A task bounds what one device may count for; the rest of its samples trained along all the same.
      "muster.trainer": trainer,
      "muster.weight": "\(min(outcome.result.samples, maximumWeight))",
      "muster.content": file.metadata["muster.content"] == "delta" ? "delta" : "parameters",
      "muster.metrics": String(decoding: try JSON.encode(metrics), as: UTF8.self),
    ]
    let header = try file.header.replacing(metadata: metadata).encoded()
    try Files.write(header, to: "\(folder.path)/\(head)", durable: false)
    let (digest, bytes) = try await measure(UploadSource(file: folder.update, offset: file.header.dataOffset, head: header))
    return JobResult(file: tensors, digest: digest, bytes: bytes)
  }

  static func pack(evaluation result: TrainerMetrics, in folder: JobFolder, for job: Job) async throws -> JobResult {
    let body = try JSON.encode(Evaluation(base: job.invitation.base.digest, weight: result.samples, metrics: result.metrics))
    try Files.write(body, to: "\(folder.path)/\(evaluation)", durable: false)
    return JobResult(file: evaluation, digest: Digest(of: body), bytes: body.count)
  }

  /// What to send, from what the job's folder holds.
  static func source(_ result: JobResult, in folder: String) throws -> (source: UploadSource, contentType: String) {
    let path = "\(folder)/\(result.file)"
    guard result.file == tensors else { return (UploadSource(file: path), "application/json") }
    let header = try Files.read("\(folder)/\(head)", maximumBytes: SafetensorsHeader.absoluteMaximumLength)
    let offset = try SafetensorsFile(path: path).header.dataOffset
    return (UploadSource(file: path, offset: offset, head: header), "application/octet-stream")
  }

  /// Makes the disk hold a result that has to wait.
  static func secure(_ result: JobResult, in folder: String) throws(FileError) {
    try Files.synchronize("\(folder)/\(result.file)")
    if result.file == tensors { try Files.synchronize("\(folder)/\(head)") }
    try Files.synchronize(folder)
    // Its name is new, too.
    try Files.synchronize("\(folder)/..")
  }
}
