import MusterParticipation
import MusterSchema
import MusterTensors
import MusterTransfer
import Synchronization

/// Makes the devices' contributions: the base model's tensors unchanged, behind a header for each device.
///
/// Thousands of devices work on the same model, so its tensors are kept once. The metrics differ in each device's update, because identical
/// bodies would spare central's store its work.
final class Contributions: Sendable {
  private struct Base {
    var header: SafetensorsHeader
    var data: [UInt8]
  }

  private let bases = Mutex<[Digest: Base]>([:])
  /// The number of models to keep. A repeated upload may belong to the previous round.
  private static let kept = 3
  private let recency = Mutex<[Digest]>([])

  /// Keeps a model that a device has fetched. Only the first with the same digest is verified and parsed.
  ///
  /// - Throws: ``TransferError`` when it is not the model that the invitation names.
  func take(_ body: [UInt8], as reference: ModelReference) throws(TransferError) {
    guard body.count == reference.bytes else {
      throw .io("the model has \(body.count) bytes, but the invitation says \(reference.bytes)")
    }
    guard bases.withLock({ $0[reference.digest] == nil }) else { return }
    let digest = Digest(of: body)
    guard digest == reference.digest else { throw .digestMismatch(expected: reference.digest, got: digest) }
    do {
      let header = try SafetensorsHeader(parsing: body)
      keep(Base(header: header, data: Array(body[header.dataOffset...])), as: digest)
    } catch {
      throw .io("the model cannot be parsed: \(error)")
    }
  }

  private func keep(_ base: Base, as digest: Digest) {
    bases.withLock { $0[digest] = base }
    let old = recency.withLock { recency -> Digest? in
      if !recency.contains(digest) { recency.append(digest) }
      return recency.count > Self.kept ? recency.removeFirst() : nil
    }
    if let old { bases.withLock { $0[old] = nil } }
  }

  /// - Returns: the bytes of a device's contribution and their media type.
  func body(for job: Job, of device: NodePath, number: Int) throws(TransferError) -> (bytes: [UInt8], type: String) {
    do {
      switch job.key.phase {
      case .train: return (try update(for: job, number: number), "application/octet-stream")
      case .evaluate:
        let evaluation = Evaluation(base: job.invitation.base.digest, weight: Self.weight, metrics: Self.metrics(number))
        return (try JSON.encode(evaluation), "application/json")
      }
    } catch let error as TransferError {
      throw error
    } catch {
      throw .io("the contribution of \(device) cannot be encoded: \(error)")
    }
  }

  private func update(for job: Job, number: Int) throws -> [UInt8] {
    guard let base = bases.withLock({ $0[job.invitation.base.digest] }) else { throw TransferError.io("the model is no longer kept") }
    let metadata = [
      "muster.task": "\(job.task)", "muster.round": "\(job.key.round)", "muster.base": "\(job.invitation.base.digest)",
      "muster.trainer": "built-in", "muster.weight": "\(Self.weight)", "muster.content": "parameters",
      "muster.metrics": String(decoding: try JSON.encode(Self.metrics(number)), as: UTF8.self),
    ]
    return try base.header.replacing(metadata: metadata).encoded() + base.data
  }

  /// The number of samples that a contribution claims.
  private static let weight = 100.0

  /// Invented metrics of a device, which differ from those of every other device.
  private static func metrics(_ number: Int) -> [String: Double] { ["loss": 1 / Double(number + 2)] }
}
