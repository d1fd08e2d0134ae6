/// The tensors of a model that are state and not parameters: the running statistics of a normalization layer, for example. They are averaged
/// over devices and replaced; no gradient belongs to them, so nothing may step, clip or sparsify them, or count them in a norm.
///
/// A model's metadata declares them under ``metadataKey`` as a JSON array of names, `[]` when it has none. A model that declares nothing has
/// those whose names end as the frameworks name such tensors: see ``usualEndings``.
public struct ModelBuffers: Hashable, Sendable {
  public static let metadataKey = "muster.buffers"
  /// PyTorch's and Keras' names of running statistics.
  public static let usualEndings = ["running_mean", "running_var", "num_batches_tracked", "moving_mean", "moving_variance"]

  /// The declared names; nil when the model declares nothing.
  private let declared: Set<String>?
  /// As it stands in the metadata, to be carried over to the next model.
  public let declaration: String?

  /// - Parameter metadata: of the model's file.
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

  /// What is wrong with the declaration of a model with these tensors; nil when nothing is.
  public func problem(in schema: TensorSchema) -> String? {
    guard let missing = declared?.filter({ schema[$0] == nil }).min(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) else { return nil }
    return "its \(Self.metadataKey) names \(shown(missing)), which is not a tensor of the model"
  }

  /// The declaration as metadata, for a file that is made of this model.
  public var metadata: [String: String] { declaration.map { [Self.metadataKey: $0] } ?? [:] }

  private static func isUsual(_ name: String) -> Bool { usualEndings.contains { name.hasSuffix($0) } }
}
