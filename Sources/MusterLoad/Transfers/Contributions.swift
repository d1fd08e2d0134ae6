import MusterParticipation
import MusterSchema
import MusterTensors
import MusterTransfer
import Synchronization

/// What devices upload: the base's tensors as they are, behind a header of each device's own.
///
/// Thousands of devices work on the same model, so its tensors are kept once. Each device's update differs in its metrics: bodies that are
/// all the same would spare central's store its work.
final class Contributions: Sendable {
  private struct Base {
    var header: SafetensorsHeader
    var data: [UInt8]
  }

  private let bases = Mutex<[Digest: Base]>([:])
  /// Models that are kept: an upload that is repeated may belong to the round before.
  private static let kept = 3
  private let order = Mutex<[Digest]>([])

  /// Takes a model that a device has fetched. Only the first of the same name is looked at in full.
  ///
  /// - Throws: ``TransferError`` when it is not what the invitation names.
  func take(_ body: [UInt8], as reference: ModelReference) throws(TransferError) {
    guard body.count == reference.bytes else {
      throw .io("the model has \(body.count) bytes, the invitation says \(reference.bytes)")
    }
    guard bases.withLock({ $0[reference.digest] == nil }) else { return }
    let digest = Digest(of: body)
    guard digest == reference.digest else { throw .digestMismatch(expected: reference.digest, got: digest) }
    do {
      let header = try SafetensorsHeader(parsing: body)
      keep(Base(header: header, data: Array(body[header.dataOffset...])), as: digest)
    } catch {
      throw .io("the model is not understood: \(error)")
    }
  }

  private func keep(_ base: Base, as digest: Digest) {
    bases.withLock { $0[digest] = base }
    let old = order.withLock { order -> Digest? in
      if !order.contains(digest) { order.append(digest) }
      return order.count > Self.kept ? order.removeFirst() : nil
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
      throw .io("the contribution of \(device) cannot be written: \(error)")
    }
  }

  private func update(for job: Job, number: Int) throws -> [UInt8] {
    guard let base = bases.withLock({ $0[job.invitation.base.digest] }) else { throw TransferError.io("the model is gone") }
    let metadata = [
      "muster.task": "\(job.task)", "muster.round": "\(job.key.round)", "muster.base": "\(job.invitation.base.digest)",
      "muster.trainer": "built-in", "muster.weight": "\(Self.weight)", "muster.content": "parameters",
      "muster.metrics": String(decoding: try JSON.encode(Self.metrics(number)), as: UTF8.self),
    ]
    return try base.header.replacing(metadata: metadata).encoded() + base.data
  }

  /// Samples behind a contribution.
  private static let weight = 100.0

  /// Of a device: made up, and different from every other's.
  private static func metrics(_ number: Int) -> [String: Double] { ["loss": 1 / Double(number + 2)] }
}
