import FoundationEssentials
import MusterModels
import Testing

/// The root folder of this checkout.
enum Checkout {
  static let folder = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }
}

/// The data set of `examples/digits`.
enum Digits {
  static let folder = "\(Checkout.folder)/examples/digits/data"
  static let training = DataConfiguration(
    images: "\(folder)/train-images-idx3-ubyte.gz", labels: "\(folder)/train-labels-idx1-ubyte.gz")
  static let test = DataConfiguration(images: "\(folder)/t10k-images-idx3-ubyte.gz", labels: "\(folder)/t10k-labels-idx1-ubyte.gz")
  static let shape = SampleShape(channels: 1, height: 8, width: 8)
}

/// Calls `body` with a folder that is removed afterwards.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.path + "/muster-models-\(UInt64.random(in: 0...(.max)))"
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  return try body(folder)
}

func write(_ bytes: [UInt8], to path: String) throws { try Data(bytes).write(to: URL(filePath: path)) }

/// Random noise as samples of every class.
func noise(_ shape: SampleShape, classes: Int, count: Int, seed: UInt64) -> DataSet {
  var generator = SplitMix64(seed: seed)
  let bytes = (0..<count * shape.count).map { _ in UInt8(generator.below(256)) }
  return DataSet(shape: shape, bytes: bytes, labels: (0..<count).map { Int32($0 % classes) })
}
