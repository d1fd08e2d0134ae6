import MusterCoordination
import MusterGround
import MusterSchema
import MusterServer
import MusterTensors
import Synchronization

/// The checked claims of an update's metadata.
struct BodyClaim: Sendable {
  var weight: Double
  var count: Int?
  var metrics: [String: Double]

  func contribution(of path: NodePath, _ digest: Digest, bytes: Int) -> ContributionRecord {
    ContributionRecord(path: path, digest: digest, weight: weight, bytes: bytes, count: count, metrics: metrics)
  }
}

extension UploadTerms {
  func check(base claimed: Digest) throws(Problem) {
    guard claimed == base else { throw .invalid("wrong base: the update started from \(claimed), but this round starts from \(base)") }
  }

  func check(weight: Double, of count: Int?) throws(Problem) {
    try UpdateMetadata.check(weight: weight)
    let devices = count ?? 1
    guard devices >= 1, devices <= maximumDevices else {
      throw .invalid(
        "the contribution stands for \(devices) devices, but one contribution to this round may stand for 1 to \(maximumDevices)")
    }
    guard weight <= maximumWeight * Double(devices) else {
      let each = devices == 1 ? "" : " for each of \(devices) devices"
      throw .invalid("the weight \(weight) is above the task's maximumWeight, \(maximumWeight)\(each)")
    }
  }
}

/// Checks a staged update against the task and the base model. It reads the whole file, so it must not run on a cooperative thread.
func validate(
  update path: String, for key: ContributionKey, _ terms: UploadTerms, _ expected: TensorSchema
) throws(Problem) -> BodyClaim {
  try validate({ () throws(SafetensorsError) in try SafetensorsFile(path: path) }, for: key, terms, expected)
}

/// Checks an update that is in memory.
func validate(
  update bytes: [UInt8], for key: ContributionKey, _ terms: UploadTerms, _ expected: TensorSchema
) throws(Problem) -> BodyClaim {
  try validate({ () throws(SafetensorsError) in try SafetensorsFile(bytes: bytes) }, for: key, terms, expected)
}

private func validate(
  _ update: () throws(SafetensorsError) -> SafetensorsFile, for key: ContributionKey, _ terms: UploadTerms, _ expected: TensorSchema
) throws(Problem) -> BodyClaim {
  let file: SafetensorsFile
  do {
    file = try update()
  } catch {
    // The error must not contain the path, which is internal to the server.
    if case .system = error { throw Problem(.unavailable, "the server cannot read the stored update") }
    throw .invalid("\(error)")
  }
  let said = try UpdateMetadata(file.metadata)
  guard said.task == key.task.rawValue else { throw .invalid("wrong task: muster.task is not \(key.task)") }
  guard said.round == "\(key.round)" else { throw .invalid("wrong round: muster.round is not \(key.round)") }
  try terms.check(base: said.base)
  try terms.check(weight: said.weight, of: said.count)
  guard said.encoding == "float32" || said.encoding == terms.encoding.name else {
    throw .invalid("the task's encoding is \(terms.encoding.name), not \(shown(said.encoding))")
  }
  // Devices start from a decoded model, which differs from central's. Only differences can be applied to the latter.
  guard terms.encoding == .float32 || said.isDelta else {
    throw .invalid("muster.content must be delta: the task's encoding is \(terms.encoding.name)")
  }
  let tensors: EncodedFile
  do { tensors = try EncodedFile(file, base: expected) } catch { throw .invalid("\(error)") }
  // Encoded updates leave out integer tensors, because those are not aggregated.
  let floats = terms.encoding == .float32 ? nil : Set(expected.tensors.filter(\.dtype.isFloatingPoint).map(\.name))
  if let difference = tensors.schema.difference(
    from: expected, required: floats, anyFloatingPoint: floats != nil)
  {
    throw .invalid(difference)
  }
  if let name = tensors.nonFiniteTensor() { throw .invalid("\(shown(name)) holds an infinity or a NaN") }
  return BodyClaim(weight: said.weight, count: said.count, metrics: said.metrics)
}

/// The schemas of the base models in use. Each is read once.
final class BaseSchemas: Sendable {
  private struct State {
    var schemas: [Digest: TensorSchema] = [:]
    /// Least recently used first.
    var recency: [Digest] = []
  }

  private let source: any BlobSource
  private let state = Mutex(State())

  init(_ source: any BlobSource) { self.source = source }

  func schema(of digest: Digest) async throws(Problem) -> TensorSchema {
    if let known = state.withLock({ state -> TensorSchema? in
      guard let known = state.schemas[digest] else { return nil }
      state.recency.removeAll { $0 == digest }
      state.recency.append(digest)
      return known
    }) {
      return known
    }
    let path = try await source.locate(digest)
    let schema: TensorSchema
    do {
      schema = try await offload { () throws(SafetensorsError) in try EncodedFile(SafetensorsFile(path: path)).schema }
    } catch {
      throw Problem(.unavailable, "the round's base model cannot be read: it is not a model of this server")
    }
    state.withLock { state in
      if state.schemas.updateValue(schema, forKey: digest) == nil { state.recency.append(digest) }
      if state.recency.count > 16 { state.schemas[state.recency.removeFirst()] = nil }
    }
    return schema
  }
}
