internal import Glibc

/// Why a safetensors file cannot be read or written. Messages shorten and escape the names that come from a file.
public enum SafetensorsError: Error, Hashable, Sendable {
  /// A system call failed: the action, the file, and `errno`.
  case system(action: String, path: String, code: Int32)
  /// The path is not a regular file, so it cannot be mapped.
  case notAFile(path: String)
  /// The file has fewer bytes than the format, or the range that was asked for, needs.
  case tooShort(bytes: Int)
  /// The header is longer than the limit.
  case headerTooLong(bytes: UInt64, limit: Int)
  /// The header's stated length exceeds the file.
  case headerTruncated(bytes: Int, available: Int)
  /// The header is not valid JSON of the expected form; `offset` counts bytes from the header's start.
  case malformed(offset: Int, reason: String)
  /// The header or its metadata has a name twice.
  case duplicateName(String)
  /// The header names an element type that ``DType`` does not have.
  case unknownDType(tensor: String, dtype: String)
  /// The shape has a negative dimension or too many dimensions, or its size overflows.
  case invalidShape(tensor: String, reason: String)
  /// The `data_offsets` run backwards or lie outside the file.
  case invalidOffsets(tensor: String, begin: Int, end: Int, dataBytes: Int)
  /// The offsets span another number of bytes than shape and dtype need.
  case sizeMismatch(tensor: String, expected: Int, found: Int)
  /// Two tensors share bytes.
  case overlap(tensor: String, with: String)
  /// Bytes before this tensor belong to no tensor.
  case gap(before: String, bytes: Int)
  /// The data section is longer or shorter than the tensors.
  case dataNotCovered(expected: Int, found: Int)
  /// The file has no tensor of this name.
  case noSuchTensor(String)
  /// Numbers were asked of a tensor of integers.
  case notFloatingPoint(tensor: String, dtype: DType)
  /// Data that was passed in does not have the length that the header states.
  case wrongDataLength(tensor: String?, expected: Int, found: Int)
  /// An encoded file is inconsistent, or a number does not fit its encoding.
  case encoding(String)
  /// A model's declaration of its buffers is not valid.
  case buffers(String)
}

extension SafetensorsError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .system(let action, let path, let code): "cannot \(action) \(path): \(String(cString: strerror(code)))"
    case .notAFile(let path): "\(path) is not a regular file"
    case .tooShort(let bytes): "not a safetensors file: it has \(bytes) bytes, but the shortest possible file has 10"
    case .headerTooLong(let bytes, let limit):
      "the safetensors header states a length of \(bytes) bytes, but at most \(limit) are read: the file is damaged or not a safetensors file"
    case .headerTruncated(let bytes, let available):
      "the safetensors header has \(bytes) bytes, but only \(available) follow: the file is truncated or not a safetensors file"
    case .malformed(let offset, let reason): "the safetensors header is malformed at byte \(offset): \(reason)"
    case .duplicateName(let name): "the safetensors header has \(shown(name)) twice"
    case .unknownDType(let tensor, let dtype):
      "tensor \(shown(tensor)) has dtype \(shown(dtype)); known dtypes: \(DType.allCases.map(\.rawValue).joined(separator: ", "))"
    case .invalidShape(let tensor, let reason): "the shape of tensor \(shown(tensor)) \(reason)"
    case .invalidOffsets(let tensor, let begin, let end, let dataBytes):
      "tensor \(shown(tensor)) lies at bytes \(begin) to \(end) of \(dataBytes) bytes of data: the file is truncated or damaged"
    case .sizeMismatch(let tensor, let expected, let found):
      "tensor \(shown(tensor)) needs \(expected) bytes for its shape and dtype, but its offsets span \(found)"
    case .overlap(let tensor, let other): "tensors \(shown(other)) and \(shown(tensor)) overlap"
    case .gap(let tensor, let bytes): "\(bytes) bytes before tensor \(shown(tensor)) belong to no tensor"
    case .dataNotCovered(let expected, let found):
      "the tensors take \(expected) bytes, but \(found) follow the header: the file is \(found < expected ? "truncated" : "too long")"
    case .noSuchTensor(let name): "there is no tensor \(shown(name))"
    case .notFloatingPoint(let tensor, let dtype): "tensor \(shown(tensor)) holds \(dtype.rawValue), not floating-point numbers"
    case .wrongDataLength(let tensor, let expected, let found):
      "\(tensor.map { "tensor \(shown($0))" } ?? "the data section") takes \(expected) bytes, but \(found) were given"
    case .encoding(let reason): reason
    case .buffers(let reason): "the model's \(ModelBuffers.metadataKey) \(reason)"
    }
  }
}

/// A name from a file, made safe for a message or a log: quoted, at most 80 code points, control characters escaped.
package func shown(_ name: String) -> String {
  var result = "\""
  for (index, scalar) in name.unicodeScalars.enumerated() {
    if index == 80 {
      result += "…"
      break
    }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: result += "\\u{\(String(scalar.value, radix: 16))}"
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}
