/// The tensors of a model that are state rather than parameters, such as the running statistics of a normalization layer.
///
/// Buffers are averaged over devices and replaced. They have no gradient, so no optimizer steps them, no filter scales them, no encoding
/// makes them sparse, and norms do not count them.
///
/// A model's metadata declares them under ``metadataKey`` as a JSON array of names, `[]` for none. In a model without a declaration,
/// buffers are the tensors whose names end in one of ``usualEndings``.
public struct ModelBuffers: Hashable, Sendable {
  /// The metadata key of the declaration.
  public static let metadataKey = "muster.buffers"
  /// The endings by which PyTorch and Keras name running statistics.
  public static let usualEndings = ["running_mean", "running_var", "num_batches_tracked", "moving_mean", "moving_variance"]

  /// The declared names; `nil` if the model declares nothing.
  private let declared: Set<String>?
  /// The declaration as it is in the metadata, to be copied to the next model.
  public let declaration: String?

  /// Parses the declaration in a model's metadata.
  ///
  /// - Parameter metadata: the metadata of the model's file.
  /// - Throws: `SafetensorsError.buffers` for a declaration that is not a JSON array of strings.
  public init(metadata: [String: String]) throws(SafetensorsError) {
    declaration = metadata[Self.metadataKey]
    guard let declaration else {
      declared = nil
      return
    }
    let bytes = Array(declaration.utf8)
    let names: [String]
    do {
      names = try bytes.withRawBytes { (raw) throws(SafetensorsError) -> [String] in
        var scanner = HeaderScanner(raw)
        return try scanner.names()
      }
    } catch { throw .buffers("is not a JSON array of tensor names: \(shown(declaration))") }
    declared = Set(names)
  }

  /// Whether the tensor of this name is a buffer.
  public func contains(_ name: String) -> Bool { declared?.contains(name) ?? Self.isUsual(name) }

  /// The mistake in the declaration for a model with these tensors, as a phrase; `nil` if it is correct.
  public func problem(in schema: TensorSchema) -> String? {
    guard let missing = declared?.filter({ schema[$0] == nil }).min(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) else { return nil }
    return "its \(Self.metadataKey) names \(shown(missing)), which is not a tensor of the model"
  }

  /// The declaration as metadata for a file made from this model; empty if there is none.
  public var metadata: [String: String] { declaration.map { [Self.metadataKey: $0] } ?? [:] }

  private static func isUsual(_ name: String) -> Bool { usualEndings.contains { name.hasSuffix($0) } }
}
