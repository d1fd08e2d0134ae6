import MusterGround
internal import MusterSchema
package import MusterTensors

/// An update whose file is open and fits the base model.
public struct Update: Sendable {
  /// The meaning of the numbers in an update's file.
  public enum Content: String, Sendable, CaseIterable {
    /// The resulting parameters w_i.
    case parameters
    /// The difference D_i = w_i − w.
    case delta

    /// The metadata key for the content; a file without it holds parameters.
    public static let metadataKey = "muster.content"
  }

  /// The node's path.
  public let path: String
  /// Number of samples behind the update: finite and > 0.
  public let weight: Double
  /// The meaning of the numbers in the file.
  public let content: Content
  /// The metadata of the update's file.
  public let metadata: [String: String]
  /// The factor by which filters scale the update's difference.
  public internal(set) var scale = 1.0
  package let file: EncodedFile
  /// This file's tensors, in the order of `Cohort.tensors`.
  var tensors: [EncodedTensor] = []

  /// A copy whose `tensors` are in the order of these.
  func showing(_ tensors: [TensorInfo]) -> Update {
    var update = self
    update.tensors = tensors.compactMap { file.tensor(named: $0.name) }
    return update
  }

  /// - Parameter reading: `true` for large cohorts: slices are then read from the file instead of through a mapping.
  /// - Returns: the update, or the reason why it is refused.
  /// - Throws: `update` if the system cannot open the file now; then nothing is wrong with the update.
  static func open(
    _ stored: StoredUpdate, fitting base: TensorSchema, reading: Bool
  ) throws(AggregationError) -> Result<Update, Refusal.Reason> {
    guard stored.weight.isFinite, stored.weight > 0 else {
      return .failure("its weight is \(stored.weight): it must be a positive number")
    }
    let file: EncodedFile
    do {
      let (path, range) = (stored.file, stored.range)
      let plain = reading ? try SafetensorsFile(reading: path, range: range) : try SafetensorsFile(path: path, range: range)
      file = try EncodedFile(plain, base: base)
    } catch {
      if error.isPassing { throw .update(path: stored.path, error) }
      return .failure(.init(error.description))
    }
    let metadata = file.file.metadata
    let name = metadata[Content.metadataKey] ?? Content.parameters.rawValue
    guard let content = Content(rawValue: name) else {
      return .failure(
        "its \(Content.metadataKey) is \(shown(name)); known values: \(Content.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    if let difference = file.schema.difference(from: base, required: [], anyFloatingPoint: true) { return .failure(.init(difference)) }
    guard file.tensors.contains(where: \.dtype.isFloatingPoint) else { return .failure("it holds no floating-point tensor") }
    return .success(
      Update(path: stored.path, weight: stored.weight, content: content, metadata: metadata, file: file))
  }
}

extension Refusal {
  /// The text of a refusal, before the path of the update is attached.
  struct Reason: Error, ExpressibleByStringInterpolation {
    let text: String
    init(_ text: String) { self.text = text }
    init(stringLiteral text: String) { self.text = text }
  }
}
