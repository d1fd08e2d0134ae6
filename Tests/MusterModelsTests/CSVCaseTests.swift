import FoundationEssentials
import MusterModels
import Testing

/// Runs the files of `Tests/Cases/csv` with their expected results. The Python package's reader is tested with the same files.
@Suite struct CSVCaseTests {
  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    var about: String
    var data: DataConfiguration
    /// The number of classes of the model that uses the data.
    var classes: Int?
    var samples: [[Float]]?
    var labels: [Int32]?
    var error: String?

    var testDescription: String { about }
  }

  static let folder = "\(Checkout.folder)/Tests/Cases/csv"

  static let cases: [Case] = {
    do {
      return try JSONDecoder().decode([Case].self, from: Data(contentsOf: URL(filePath: "\(folder)/expected.json")))
    } catch {
      Issue.record("expected.json cannot be read: \(error)")
      return []
    }
  }()

  @Test("Every file of the CSV format means what its case says, to the last word of the error", arguments: cases)
  func expected(_ one: Case) throws {
    let configuration = one.data.resolved(against: Self.folder)
    let path = try #require(configuration.file)
    var said: String?
    do {
      let data = try configuration.load()
      if let classes = one.classes {
        try data.check(against: ModelArchitecture(type: "softmax", input: [data.shape.count], classes: classes), file: path)
      }
      let samples = try #require(one.samples, "read \(data.count) samples, expected the error \(one.error ?? "-")")
      let shape = SampleShape(channels: 1, height: 1, width: samples[0].count)
      #expect(data == DataSet(shape: shape, numbers: samples.flatMap(\.self), labels: try #require(one.labels)))
    } catch let error as ModelError {
      said = "\(error)"
    }
    #expect(said == one.error.map { "\(path): \($0)" })
  }

  @Test("The cases hold every file that lies beside them")
  func complete() throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder).filter { $0.contains(".csv") }
    #expect(Set(files) == Set(Self.cases.compactMap(\.data.file)))
    #expect(Self.cases.count > 60)
  }
}
