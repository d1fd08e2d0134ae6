import FoundationEssentials
import MusterModels
import Testing

@Suite struct DataSetTests {
  func message(_ configuration: DataConfiguration) -> String {
    do {
      return "read \(try configuration.load().count) samples"
    } catch {
      return "\(error)"
    }
  }

  static let images: [UInt8] = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3] + [1, 2, 3, 4, 5, 255]
  static let labels: [UInt8] = [0, 0, 8, 1, 0, 0, 0, 2, 7, 9]

  @Test("The digits are read from gzip")
  func digits() throws {
    let data = try Digits.training.load()
    #expect(data.count == 1437 && data.shape == Digits.shape)
    #expect(Set(data.labels) == Set(0...9))
    #expect(try Digits.test.load().count == 360)
  }

  @Test("Plain IDX files are read, and a partition takes its part")
  func plain() throws {
    try withTemporaryFolder { folder in
      try write(Self.images, to: "\(folder)/images")
      try write(Self.labels, to: "\(folder)/labels")
      var configuration = DataConfiguration(images: "images", labels: "labels").resolved(against: folder)
      let data = try configuration.load()
      let shape = SampleShape(channels: 1, height: 1, width: 3)
      #expect(data == DataSet(shape: shape, bytes: [1, 2, 3, 4, 5, 255], labels: [7, 9]))
      configuration.partition = .range(from: 1, to: 2)
      #expect(try configuration.load() == DataSet(shape: shape, bytes: [4, 5, 255], labels: [9]))
    }
  }

  @Test("Truncated and lying IDX files are refused with the reason")
  func brokenIDX() throws {
    try withTemporaryFolder { folder in
      func check(_ images: [UInt8], labels: [UInt8] = Self.labels, _ part: String) throws {
        try write(images, to: "\(folder)/images")
        try write(labels, to: "\(folder)/labels")
        let message = message(DataConfiguration(images: "images", labels: "labels").resolved(against: folder))
        #expect(message.contains(part), "\(message)")
      }
      try check([], "is truncated: its header")
      try check(Array(Self.images.dropLast()), "is truncated: 2×1×3 values should have 6 bytes, but only 5")
      try check(Self.images + [0], "more data than its header says")
      try check([0, 0, 8, 3] + [UInt8](repeating: 255, count: 12), "impossible sizes")
      try check([0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3], "no samples")
      try check([0, 0, 8, 3, 0x40, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 9], "is truncated")
      try check([0, 0, 13, 3] + Self.images.dropFirst(4), "IDX type 13")
      try check([1, 0, 8, 3] + Self.images.dropFirst(4), "is not an IDX file")
      try check(Self.labels, "has 1 dimensions")
      try check(Self.images, labels: [0, 0, 8, 1, 0, 0, 0, 1, 7], "holds 1 labels for the 2 samples")
      let packed = FileManager.default.contents(atPath: "\(Digits.folder)/train-images-idx3-ubyte.gz").map(Array.init)
      try check(Array(try #require(packed).prefix(20_000)), "truncated")
      var damaged = try #require(packed)
      for index in 9000..<9100 { damaged[index] ^= 0x5a }
      try check(damaged, "damaged")
      #expect(message(DataConfiguration(images: "\(folder)/nowhere", labels: "")).contains("No such file"))
      #expect(message(DataConfiguration(images: folder, labels: "")).contains("is not a regular file"))
    }
  }

  @Test("CIFAR-10 batches are read one after the other")
  func cifar10() throws {
    try withTemporaryFolder { folder in
      let record = [UInt8](repeating: 5, count: 3072)
      try write([3] + record + [4] + record, to: "\(folder)/one")
      try write([9] + record, to: "\(folder)/two")
      try write([10] + record, to: "\(folder)/wrong")
      try write([1] + record.dropLast(), to: "\(folder)/short")
      let data = try DataConfiguration(cifar10: ["\(folder)/one", "\(folder)/two"]).load()
      #expect(data.labels == [3, 4, 9] && data.shape == SampleShape(channels: 3, height: 32, width: 32))
      #expect(message(DataConfiguration(cifar10: ["\(folder)/wrong"])).contains("record 0 has the label 10"))
      #expect(message(DataConfiguration(cifar10: ["\(folder)/one", "\(folder)/short"])).contains("record 0 has 3072 of 3073 bytes"))
      #expect(message(DataConfiguration(cifar10: [])).contains("`files` is empty"))
    }
  }

  @Test("CSV is read by column name or position, with named classes and a scale")
  func csv() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/flowers.csv"
      try write(Array("width,\"kind\",height\r\n2,rose,4\r\n\r\n6, \"big \"\"tulip\"\"\" ,8\r\n".utf8), to: path)
      var configuration = DataConfiguration(csv: path, label: .name("kind"))
      configuration.classNames = ["big \"tulip\"", "rose"]
      configuration.scale = 2
      let shape = SampleShape(channels: 1, height: 1, width: 2)
      #expect(try configuration.load() == DataSet(shape: shape, numbers: [1, 2, 3, 4], labels: [1, 0]))

      try write(Array("1;2;0\n3;4;1".utf8), to: path)
      configuration = DataConfiguration(csv: path, label: .position(-1))
      configuration.separator = ";"
      #expect(try configuration.load() == DataSet(shape: shape, numbers: [1, 2, 3, 4], labels: [0, 1]))
    }
  }

  @Test("The configuration is what stands under `data` in JSON")
  func json() throws {
    let text = #"{"format":"idx","images":"i.gz","labels":"l.gz","partition":{"iid":{"of":8,"index":2}}}"#
    let configuration = try JSONDecoder().decode(DataConfiguration.self, from: Data(text.utf8))
    #expect(configuration == DataConfiguration(images: "i.gz", labels: "l.gz", partition: .iid(of: 8, index: 2, seed: 1)))
    let partitions: [Partition] = [
      .range(from: 1, to: 2), .iid(of: 3, index: 1, seed: 9), .shards(of: 3, index: 1, perNode: 4, seed: 9),
      .dirichlet(of: 3, index: 1, alpha: 0.5, seed: 9),
    ]
    for partition in partitions {
      #expect(try JSONDecoder().decode(Partition.self, from: JSONEncoder().encode(partition)) == partition)
    }
    let labels = Data(#"{"format":"csv","file":"a","label":-1}"#.utf8)
    #expect(try JSONDecoder().decode(DataConfiguration.self, from: labels) == DataConfiguration(csv: "a", label: .position(-1)))
    #expect(throws: DecodingError.self) { try JSONDecoder().decode(Partition.self, from: Data("{\"halves\":{}}".utf8)) }
  }

  @Test("Data that does not fit the model is refused")
  func fit() throws {
    let data = try Digits.test.load()
    let few = try ModelArchitecture(type: "softmax", input: [1, 8, 8], classes: 5)
    #expect(throws: ModelError.self) { try LocalTrainer<Float>(few, data: data, batch: 8) }
    let large = try ModelArchitecture(type: "lenet5", input: [1, 28, 28], classes: 10)
    #expect(throws: ModelError.self) { try LocalTrainer<Float>(large, data: data, batch: 8) }
  }
}
