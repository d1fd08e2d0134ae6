extension SafetensorsFile {
  /// The reason, as a phrase, why this file cannot be a task's first model; `nil` if it can. Reads the whole file.
  public func problemAsModel() -> String? {
    if let encoding = metadata[TensorEncoding.metadataKey], encoding != "float32" {
      return "it is encoded as \(shown(encoding)), but a first model must not be encoded"
    }
    let buffers: ModelBuffers
    do { buffers = try self.buffers() } catch { return "\(error)" }
    guard tensors.contains(where: { $0.dtype.isFloatingPoint && $0.elementCount > 0 && !buffers.contains($0.name) }) else {
      return "it holds no floating-point parameters that could be trained"
    }
    if let problem = buffers.problem(in: schema) { return problem }
    return nonFiniteTensor().map { "tensor \(shown($0)) holds an infinity or a NaN" }
  }
}
