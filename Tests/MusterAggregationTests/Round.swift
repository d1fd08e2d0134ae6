import FoundationEssentials
import MusterAggregation
import MusterTensors
import TestSupport

/// A base model and updates in a temporary folder.
struct Round {
  let folder: TemporaryFolder
  var base: String { folder.file("base.safetensors") }
  var output: String { folder.file("next.safetensors") }

  init() throws { folder = try TemporaryFolder() }

  func base(_ tensors: Tensor...) throws { try SafetensorsWriter.write(tensors, to: base) }

  func update(_ path: String, weight: Double = 1, content: String? = nil, _ tensors: Tensor...) throws -> StoredUpdate {
    try update(path, weight: weight, content: content, tensors)
  }

  func update(
    _ path: String, weight: Double = 1, content: String? = nil, _ tensors: [Tensor], metadata: [String: String] = [:]
  ) throws -> StoredUpdate {
    // Written without `SafetensorsWriter`, which would wait for the disk for each of hundreds of files.
    var metadata = metadata
    metadata["muster.content"] = content
    let bytes = try SafetensorsWriter.bytes(tensors, metadata: metadata)
    let file = try folder.write(bytes, to: path.replacing("/", with: "-"))
    return StoredUpdate(path: path, file: file, weight: weight)
  }

  /// The same updates, packed into one file.
  func packed(_ updates: [StoredUpdate]) throws -> [StoredUpdate] {
    var pack = Array("whatever comes first".utf8)
    let parts = try updates.map { contribution in
      let bytes = try Data(contentsOf: URL(filePath: contribution.file))
      pack += bytes
      return pack.count - bytes.count..<pack.count
    }
    let file = try folder.write(pack, to: "pack")
    return zip(updates, parts).map { StoredUpdate(path: $0.path, file: file, range: $1, weight: $0.weight) }
  }

  func write(_ tensors: [Tensor], to path: String) throws { try SafetensorsWriter.write(tensors, to: path) }

  @discardableResult
  func aggregate(
    _ updates: [StoredUpdate], _ strategy: Strategy? = nil, names: Set<String>? = nil, metadata: [String: String] = [:]
  ) throws -> AggregationResult {
    try MusterAggregation.aggregate(
      base: base, updates: updates, strategy: strategy ?? Strategy(named: "fedavg"), names: names, output: output,
      metadata: metadata)
  }

  func floats(_ name: String) throws -> [Float] { try SafetensorsFile(path: output).floats(of: name) }
  func bytes() throws -> Data { try Data(contentsOf: URL(filePath: output)) }
}

func tensor(_ name: String, _ values: [Float], _ dtype: DType = .f32) throws -> Tensor {
  try Tensor(name: name, shape: [values.count], floats: values, dtype: dtype)
}
