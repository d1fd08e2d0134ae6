import MusterGround
internal import MusterSchema
package import MusterTensors

/// A contribution whose file is open and fits the base model.
public struct Update: Sendable {
  /// What the numbers in an update's file are.
  public enum Content: String, Sendable, CaseIterable {
    /// The resulting parameters w_i.
    case parameters
    /// The difference D_i = w_i − w.
    case delta

    /// Where a file's metadata says it; parameters when it says nothing.
    public static let metadataKey = "muster.content"
  }

  public let path: String
  public let weight: Double
  public let content: Content
  public let metadata: [String: String]
  /// What a filter shrinks the update by; its difference is read times this.
  public internal(set) var scale = 1.0
  package let file: EncodedFile
  /// This file's tensors in the order of the cohort's.
  var tensors: [EncodedTensor] = []

  /// The same, with its file's tensors in the order of these.
  func showing(_ tensors: [TensorInfo]) -> Update {
    var update = self
    update.tensors = tensors.compactMap { file.tensor(named: $0.name) }
    return update
  }

  /// - Parameter reading: it is one of so many, or so large, that slices are read from its file and not looked at through a mapping.
  /// - Returns: the update, or why it cannot be one.
  /// - Throws: `update` when the system refuses for now: then nothing is wrong with the update.
  static func open(
    _ contribution: Contribution, fitting base: TensorSchema, reading: Bool
  ) throws(AggregationError) -> Result<Update, Refusal.Reason> {
    guard contribution.weight.isFinite, contribution.weight > 0 else {
      return .failure("its weight is \(contribution.weight): it must be a positive number")
    }
    let file: EncodedFile
    do {
      let (path, range) = (contribution.file, contribution.range)
      let plain = reading ? try SafetensorsFile(reading: path, range: range) : try SafetensorsFile(path: path, range: range)
      file = try EncodedFile(plain, base: base)
    } catch {
      if error.isPassing { throw .update(path: contribution.path, error) }
      return .failure(.init(error.description))
    }
    let metadata = file.file.metadata
    let name = metadata[Content.metadataKey] ?? Content.parameters.rawValue
    guard let content = Content(rawValue: name) else {
      return .failure("its \(Content.metadataKey) is \(shown(name)): known are \(Content.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    if let difference = file.schema.difference(from: base, required: [], anyFloatingPoint: true) { return .failure(.init(difference)) }
    guard file.tensors.contains(where: \.dtype.isFloatingPoint) else { return .failure("it holds no floating-point tensor") }
    return .success(
      Update(path: contribution.path, weight: contribution.weight, content: content, metadata: metadata, file: file))
  }
}

extension Refusal {
  /// The words of a refusal, before it is known whose it is.
  struct Reason: Error, ExpressibleByStringInterpolation {
    let text: String
    init(_ text: String) { self.text = text }
    init(stringLiteral text: String) { self.text = text }
  }
}
