/// Labeled samples in memory. Pixels stay bytes until they are put into a batch, which takes a quarter of the memory.
package struct DataSet: Hashable, Sendable {
  enum Values: Hashable, Sendable {
    /// Bytes, each of which stands for byte / 255.
    case bytes([UInt8])
    case numbers([Float])
  }

  /// The size of one sample.
  package let shape: SampleShape
  /// The samples in order, each channels × height × width.
  let values: Values
  /// The class of each sample, 0 or more.
  package let labels: [Int32]

  package var count: Int { labels.count }

  /// A data set of bytes 0–255, which a model gets as 0–1.
  package init(shape: SampleShape, bytes: [UInt8], labels: [Int32]) {
    precondition(bytes.count == shape.count * labels.count, "the number of values does not fit the labels and the shape")
    self.init(shape: shape, values: .bytes(bytes), labels: labels)
  }

  package init(shape: SampleShape, numbers: [Float], labels: [Int32]) {
    precondition(numbers.count == shape.count * labels.count, "the number of values does not fit the labels and the shape")
    self.init(shape: shape, values: .numbers(numbers), labels: labels)
  }

  private init(shape: SampleShape, values: Values, labels: [Int32]) {
    self.shape = shape
    self.values = values
    self.labels = labels
  }

  /// The samples at these positions, in the order of `positions`.
  package func selecting(_ positions: [Int32]) -> DataSet {
    func select<V>(_ all: [V]) -> [V] {
      var chosen: [V] = []
      chosen.reserveCapacity(positions.count * shape.count)
      for position in positions { chosen += all[Int(position) * shape.count..<(Int(position) + 1) * shape.count] }
      return chosen
    }
    let chosen: Values =
      switch values {
      case .bytes(let bytes): .bytes(select(bytes))
      case .numbers(let numbers): .numbers(select(numbers))
      }
    return DataSet(shape: shape, values: chosen, labels: positions.map { labels[Int($0)] })
  }

  /// Writes the values of the samples at these positions, one after the other, as a model gets them.
  ///
  /// - Parameter target: space for `positions.count × shape.count` numbers.
  package func write(_ positions: ArraySlice<Int32>, into target: UnsafeMutableBufferPointer<Float>) {
    let size = shape.count
    precondition(target.count >= positions.count * size, "the target is too small for all samples")
    var next = 0
    for position in positions {
      let source = Int(position) * size
      switch values {
      case .bytes(let bytes): for index in 0..<size { target[next + index] = DataSet.scale[Int(bytes[source + index])] }
      case .numbers(let numbers): for index in 0..<size { target[next + index] = numbers[source + index] }
      }
      next += size
    }
  }

  private static let scale = (0..<256).map { Float($0) / 255 }

  /// Checks that the model can use this data.
  ///
  /// - Throws: ``ModelError/data(file:_:)`` for samples of another size or a class that the model does not have.
  package func check(against architecture: ModelArchitecture, file: String) throws(ModelError) {
    let fits = architecture.kind == .leNet5 ? shape == architecture.input : shape.count == architecture.input.count
    guard fits else { throw .data(file: file, "its samples are \(shape), but the model takes \(architecture.input)") }
    if let wrong = labels.first(where: { $0 >= architecture.classes }) {
      throw .data(file: file, "it has a sample of class \(wrong), but the model's classes are 0 to \(architecture.classes - 1)")
    }
  }
}
