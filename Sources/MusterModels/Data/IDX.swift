/// Reads the MNIST file format: two zero bytes, a type, the number of dimensions, their sizes (big-endian), then the values. Plain or gzip.
enum IDX {
  /// Reads images (samples × height × width, or × channels × height × width, or × features) and their labels.
  static func read(images: String, labels: String) throws(ModelError) -> DataSet {
    let (sizes, bytes) = try read(images, dimensions: 2...4)
    let (counts, classes) = try read(labels, dimensions: 1...1)
    guard sizes[0] == counts[0] else { throw .data(file: labels, "holds \(counts[0]) labels for the \(sizes[0]) samples of \(images)") }
    return DataSet(shape: try SampleShape(Array(sizes.dropFirst())), bytes: bytes, labels: classes.map(Int32.init))
  }

  private static func read(_ path: String, dimensions allowed: ClosedRange<Int>) throws(ModelError) -> (sizes: [Int], values: [UInt8]) {
    let reader = try FileReader(path)
    let magic = try reader.read(exactly: 4, of: "its header")
    guard magic[0] == 0, magic[1] == 0 else { throw .data(file: path, "is not an IDX file: it does not start with two zero bytes") }
    guard magic[2] == 0x08 else {
      throw .data(file: path, "holds values of IDX type \(magic[2]), but only unsigned bytes (8) are supported")
    }
    guard allowed.contains(Int(magic[3])) else {
      throw .data(file: path, "has \(magic[3]) dimensions, expected \(allowed.lowerBound) to \(allowed.upperBound): is it the right file?")
    }
    let header = try reader.read(exactly: 4 * Int(magic[3]), of: "its header")
    let sizes = stride(from: 0, to: header.count, by: 4).map { header[$0..<$0 + 4].reduce(0) { $0 << 8 | Int($1) } }
    var count = 1
    for size in sizes {
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      guard !overflow, product <= 1 << 36 else { throw .data(file: path, "states impossible sizes: \(sizes)") }
      count = product
    }
    guard count > 0 else { throw .data(file: path, "holds no samples: its sizes are \(sizes)") }
    let values = try reader.read(exactly: count, of: "\(sizes.map(String.init).joined(separator: "×")) values")
    try reader.expectEnd()
    return (sizes, values)
  }
}
