import MusterTensors

/// A safetensors header. The first byte says how the rest is meant, so that the length in front of the header need not be guessed:
/// `r`: a file as it is; `j`: JSON up to the first line's end, the rest is data; `l`: four bytes for the length of the data, then JSON.
func safetensors(_ input: ArraySlice<UInt8>) {
  guard let file = SafetensorsInput(input) else { return }
  let header: SafetensorsHeader
  do {
    header = try file.bytes.withUnsafeBytes { raw throws(SafetensorsError) in
      try SafetensorsHeader(parsing: raw, fileByteCount: file.length)
    }
  } catch {
    requireFitForLogs("\(error)")
    return
  }
  require(header.fileByteCount == file.length, "the header covers \(header.fileByteCount) of \(file.length) bytes")
  var end = 0
  for tensor in header.tensors {
    require(tensor.byteRange.lowerBound == end, "a gap or an overlap before \(tensor.name)")
    require(tensor.dtype.byteCount(shape: tensor.shape) == tensor.byteRange.count, "the shape of \(tensor.name) does not fit its bytes")
    require(tensor.elementCount * tensor.dtype.byteSize == tensor.byteRange.count, "\(tensor.name) has half an element")
    require((try? header.tensor(named: tensor.name)) == tensor, "\(tensor.name) is not found")
    end = tensor.byteRange.upperBound
  }
  require(Set(header.tensors.map(\.name)).count == header.tensors.count, "a name stands there twice")
  require(header.schema.difference(from: header.schema) == nil, "a schema differs from itself")
  check(header.encoded(), against: header)
  // Laid out anew, it is the same tensors.
  do {
    let described = header.tensors.map { TensorDescription(name: $0.name, dtype: $0.dtype, shape: $0.shape) }
    let laidOut = try SafetensorsHeader(tensors: described, metadata: header.metadata)
    require(laidOut.schema == header.schema, "another schema after it was laid out anew")
    check(laidOut.encoded(), against: laidOut)
  } catch {
    fail("what was read cannot be written: \(error)")
  }
}

private func check(_ encoded: [UInt8], against header: SafetensorsHeader) {
  do {
    let again = try encoded.withUnsafeBytes { raw throws(SafetensorsError) in
      try SafetensorsHeader(parsing: raw, fileByteCount: encoded.count + header.dataByteCount, maximumLength: .max)
    }
    require(again.tensors == header.tensors && again.metadata == header.metadata, "the header that was written is read as another")
    require(zip(again.tensors, header.tensors).allSatisfy { $0.name.isSame(as: $1.name) }, "a name is read as one that only looks like it")
    require(again.encoded() == encoded, "the same header is other bytes")
  } catch {
    fail("a header that was written cannot be read: \(error)")
  }
}

/// The bytes of a file, as an input stands for them.
struct SafetensorsInput {
  var bytes: [UInt8]
  /// Of the file, which may be longer than the bytes that are there.
  var length: Int

  init?(_ input: ArraySlice<UInt8>) {
    let rest = input.dropFirst()
    switch input.first {
    case UInt8(ascii: "r"):
      bytes = Array(rest)
      length = bytes.count
    case UInt8(ascii: "j"):
      let json = rest.prefix { $0 != UInt8(ascii: "\n") }
      bytes = Self.framed(json) + rest[json.endIndex...].dropFirst()
      length = bytes.count
    case UInt8(ascii: "l"):
      guard rest.count >= 4 else { return nil }
      bytes = Self.framed(rest.dropFirst(4))
      length = bytes.count + rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
    default: return nil
    }
  }

  private static func framed(_ json: ArraySlice<UInt8>) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: json.count >> (8 * $0)) } + json
  }
}

func safetensorsSeeds() throws -> [[UInt8]] {
  let tensors = [
    try Tensor(name: "conv1.weight", shape: [2, 1, 3], floats: [1, -2, 0.5, 1e-3, 7, 0]),
    try Tensor(name: "fc.bias", shape: [], floats: [3]),
    try Tensor(name: "größe \"a\\b\"", dtype: .i64, shape: [0, 4], data: []),
    try Tensor(name: "steps", dtype: .i8, shape: [3], data: [1, 2, 3]),
    try Tensor(name: "half", dtype: .f16, shape: [2], data: [0, 60, 0, 188]),
  ]
  let files = [
    try SafetensorsWriter.bytes(tensors, metadata: ["muster.task": "digits", "format": "pt\n\u{1}"]),
    try SafetensorsWriter.bytes(Array(tensors.prefix(1))), try SafetensorsWriter.bytes([]),
  ]
  let jsons = [
    #"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[16,24]}}"#,
    #"{"__metadata__":{"k\u00e9\ud83d\ude00":"v\/\b\f"},"x":{"shape":[],"data_offsets":[0,1],"dtype":"BOOL"}} "#,
    #"{"a":{"dtype":"F64","shape":[1000000,3],"data_offsets":[0,24000000]}}"#,
  ]
  return files.map { Array("r".utf8) + $0 }
    + [Array("j\(jsons[0])\n".utf8) + (0..<24), Array("j\(jsons[1])\n1".utf8)]
    + [[UInt8(ascii: "l"), 0, 0, 0, 24] + Array(jsons[0].utf8), [UInt8(ascii: "l"), 1, 0x6e, 0x36, 0] + Array(jsons[2].utf8)]
}
