import MusterSchema
import MusterTaskFiles
import Testing

@Suite("Tasks as their authors wrote them")
struct TaskDocumentTests {
  private static let digits = """
    name: Digits
    model: {type: lenet5, input: [1, 8, 8], classes: 10}
    regions: [north, no]
    rounds: 10
    cohort:
      size: 8
      minimum: 6
    local: {rate: 1e-1}
    """

  private func problems(_ text: String) -> [FieldProblem] {
    do {
      let document = try TaskDocument(text)
      return try document.specification().problems().map(document.located)
    } catch {
      return error.problems
    }
  }

  @Test("a task without mistakes is its specification, and no problem")
  func task() throws {
    let specification = try TaskDocument(Self.digits).specification()
    #expect(specification.name == "Digits" && specification.cohort.minimum == 6 && specification.local.rate == 0.1)
    // YAML 1.1 would have read the second region as false.
    #expect(specification.regions.map(\.rawValue) == ["north", "no"])
    #expect(problems(Self.digits).isEmpty)
  }

  @Test(
    "a problem has the field, and the line and column at which it stands",
    arguments: [
      ("rounds: 10", "rounds: 0", FieldPlace("rounds", 4, 1)), ("size: 8", "size: eight", FieldPlace("cohort.size", 6, 3)),
      ("minimum: 6", "minimum: 9", FieldPlace("cohort.minimum", 7, 3)), ("rate: 1e-1", "ratte: 1", FieldPlace("local.ratte", 8, 9)),
      ("north, no", "north, No/rth", FieldPlace("regions[1]", 3, 18)), ("name: Digits\n", "", FieldPlace("name", 1, 1)),
      ("rounds: 10", "rounds: .nan", FieldPlace("", 4, 9)), ("rounds: 10", "rounds: 10\nrounds: 11", FieldPlace("", 4, 1)),
    ])
  func places(old: String, new: String, expected: FieldPlace) throws {
    let problem = try #require(problems(Self.digits.replacing(old, with: new, maxReplacements: 1)).first)
    #expect(FieldPlace(problem.field, problem.line, problem.column) == expected, "\(problem)")
    #expect(!problem.message.isEmpty)
  }

  struct FieldPlace: Hashable, Sendable {
    var field: String
    var line: Int?
    var column: Int?

    init(_ field: String, _ line: Int?, _ column: Int?) {
      self.field = field
      self.line = line
      self.column = column
    }
  }

  @Test("a text that is not UTF-8, or larger than a task may be, is refused before it is parsed")
  func unreadable() {
    #expect(throws: FieldProblem.List.self) { try TaskDocument(utf8: [0xff, 0xfe]) }
    let large = Self.digits + "\n#" + String(repeating: "x", count: TaskSpecification.maximumBytes)
    #expect(problems(large).first?.message.contains("256 KiB") == true)
  }

  @Test("a blob's field can be replaced by its digest, and a field that is not there stays away")
  func blobs() throws {
    var document = try TaskDocument(Self.digits + "\ninitial: {blob: start.safetensors}\n")
    let digest = Digest(of: [1])
    document[["initial", "blob"]] = .string("\(digest)")
    document[["model", "step", "blob"]] = .string("x")
    #expect(try document.specification().initial == .blob(digest))
    #expect(document[["model", "step"]] == nil)
  }
}
