/// Reads CIFAR-10's binary version (Krizhevsky 2009): records of one label byte and 3×32×32 pixel bytes, plain or gzip.
enum CIFAR10 {
  static let shape = SampleShape(channels: 3, height: 32, width: 32)

  /// Reads one or more files, in this order.
  static func read(_ files: [String]) throws(ModelError) -> DataSet {
    guard !files.isEmpty else { throw .data(file: "cifar10", "`files` is empty") }
    var labels: [Int32] = []
    var pixels: [UInt8] = []
    for path in files {
      let reader = try FileReader(path)
      let before = labels.count
      while true {
        let record = try reader.read(upTo: 1 + shape.count)
        if record.isEmpty { break }
        guard record.count == 1 + shape.count else {
          throw .data(file: path, "is truncated: record \(labels.count - before) has \(record.count) of \(1 + shape.count) bytes")
        }
        guard record[0] < 10 else {
          throw .data(
            file: path, "record \(labels.count - before) has the label \(record[0]) instead of 0 to 9: is it CIFAR-10's binary version?")
        }
        labels.append(Int32(record[0]))
        pixels += record[1...]
      }
      guard labels.count > before else { throw .data(file: path, "is empty") }
    }
    return DataSet(shape: shape, bytes: pixels, labels: labels)
  }
}
