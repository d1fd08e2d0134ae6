import MusterSchema
import TestSupport
import Testing

@testable import MusterCommands

@Suite("Task files")
struct TaskFileTests {
  private static let digits = """
    name: Digits
    model: {type: lenet5, input: [1, 8, 8], classes: 10}
    regions: [north, no]
    where: "arch=x86_64"
    rounds: 10
    cohort:
      size: 8
      minimum: 6
    local: {rate: 1e-1, seed: 18446744073709551615}
    strategy: {filters: [{clip: 1.0}], combiner: median}
    """

  private func problem(_ text: String) -> String? {
    do {
      let file = try TaskFile(text: text, path: "digits.yaml")
      try file.check()
      return nil
    } catch {
      #expect(error.exit == .usage)
      return error.description
    }
  }

  @Test("YAML becomes the specification that the same JSON is")
  func yaml() throws {
    let task = try TaskFile(text: Self.digits, path: "digits.yaml").specification
    #expect(task.model == ModelSpecification(type: "lenet5", input: [1, 8, 8], classes: 10))
    // YAML 1.1 would have read the second region as false.
    #expect(task.regions.map(\.rawValue) == ["north", "no"])
    #expect(task.local.rate == 0.1)
    #expect(task.local.seed == .max)
    #expect(
      task.strategy == .composed(filters: [.init("clip", ["value": 1])], combiner: .init("median"), optimizer: .init("replace")))
    let json = String(decoding: try JSON.encode(task, pretty: true), as: UTF8.self)
    #expect(try TaskFile(text: json, path: "digits.json").specification == task)
  }

  @Test(
    "an error names file, line, column and field",
    arguments: [
      ("rounds: 10", "rounds: 0", "digits.yaml:5:1: rounds: must be between 1 and 100000, got 0"),
      ("size: 8", "size: eight", "digits.yaml:7:3: cohort.size: expected a whole number"),
      ("minimum: 6", "minimum: 9", "digits.yaml:8:3: cohort.minimum: must be between 1 and cohort.size (8), got 9"),
      ("rate: 1e-1", "ratte: 1e-1", "digits.yaml:9:9: local.ratte: unknown field"),
      ("north, no", "north, No/rth", "digits.yaml:3:18: regions[1]: node id"),
      ("name: Digits", "", "digits.yaml:2:1: name: is missing"),
      ("cohort:", "cohort: [", "digits.yaml:8:10: "),
      ("rounds: 10", "rounds: 10\nrounds: 11", "is given twice"),
      ("rounds: 10", "rounds: .nan", "digits.yaml:5:9: .nan is not a finite number"),
      ("rounds: 10", "\trounds: 10", "digits.yaml:5:1: "),
    ])
  func errors(old: String, new: String, expected: String) throws {
    let text = Self.digits.replacingFirst(old, with: new)
    let message = try #require(problem(text))
    #expect(message.contains(expected), "\(message)")
  }

  @Test("several problems are several lines, each with its place")
  func manyErrors() throws {
    let text = Self.digits.replacingFirst("rounds: 10", with: "rounds: 0").replacingFirst("minimum: 6", with: "minimum: 0")
    let lines = try #require(problem(text)).split(separator: "\n")
    #expect(lines.map { $0.prefix(16) } == ["digits.yaml:5:1:", "digits.yaml:8:3:"])
  }

  @Test("text that is no task at all is refused with a reason", arguments: ["", "just a text", "- 1\n- 2", "{", "a: *b", "\"\u{1}\""])
  func garbage(text: String) {
    #expect(problem(text) != nil)
  }

  @Test("aliases that would fill the memory are refused")
  func aliases() throws {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in 1...12 { text += "a\(level): &a\(level) [\(Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", "))]\n" }
    #expect(try #require(problem(text)).contains("too many values"))
  }

  @Test("a model beside the task file is found there and becomes its digest")
  func initialModel() throws {
    let folder = try TemporaryFolder()
    let model = Self.model([1, 2])
    try folder.write(model, to: "start.safetensors")
    let path = try folder.write(Self.digits + "\ninitial: {blob: start.safetensors}\n", to: "task.yaml")
    let task = try TaskFile(path: path)
    let digest = Digest(of: model)
    #expect(task.specification.initial == .blob(digest))
    #expect(task.blobs == [TaskFile.BlobFile(field: "initial.blob", path: folder.file("start.safetensors"), digest: digest)])
    try folder.write("graph", to: "step.onnx")
    let step = Self.digits.replacing("type: lenet5", with: "type: lenet5, step: {blob: step.onnx}")
    let stepped = try TaskFile(path: try folder.write(step, to: "step.yaml"))
    let graph = Digest(of: Array("graph".utf8))
    #expect(stepped.specification.model.step == TrainingStep(blob: graph))
    #expect(stepped.blobs == [TaskFile.BlobFile(field: "model.step.blob", path: folder.file("step.onnx"), digest: graph)])
    let missing = try folder.write(Self.digits + "\ninitial: {blob: none.safetensors}\n", to: "missing.yaml")
    #expect(throws: CommandError.self) { try TaskFile(path: missing) }
  }

  /// A safetensors file with one float32 tensor.
  private static func model(_ values: [Float], name: String = "w") -> [UInt8] {
    let header = #"{"\#(name)":{"dtype":"F32","shape":[\#(values.count)],"data_offsets":[0,\#(4 * values.count)]}}"#
    let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
    return length + Array(header.utf8) + values.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } }
  }

  @Test("a first model that cannot be one is refused before anything is sent, with its place and the reason")
  func wrongModels() throws {
    let folder = try TemporaryFolder()
    let wrong: [(bytes: [UInt8], reason: String)] = [
      (Array(Self.digits.utf8), "not a safetensors file"), ([], "not a safetensors file"),
      (Self.model([1, .nan]), #"tensor "w" holds an infinity or a NaN"#), (Self.model([1, -.infinity]), "infinity"),
      (Self.model([]), "no floating-point parameters"), (Self.model([1], name: "bn.running_var"), "no floating-point parameters"),
    ]
    for (bytes, reason) in wrong {
      try folder.write(bytes, to: "start.safetensors")
      let path = try folder.write(Self.digits + "\ninitial: {blob: start.safetensors}\n", to: "task.yaml")
      #expect {
        try TaskFile(path: path)
      } throws: { error in
        let text = "\(error)"
        return text.contains(reason) && text.contains("initial.blob: ") && text.contains("start.safetensors")
          && (error as? CommandError)?.exit == .usage
      }
    }
  }

  @Test("a trainer's own options stay as they are written, and have a bound")
  func options() throws {
    func task(_ options: String) throws -> TaskFile {
      let text = Self.digits.replacing("type: lenet5", with: "type: lenet5, options: {width: 0.5}")
      return try TaskFile(text: text.replacing("local: {", with: "local: {options: \(options), "), path: "task.yaml")
    }
    let read = try task("{a: [1, two, null, true], b: {c: 1.5}}").specification
    #expect(read.model.options == ["width": .number(0.5)])
    #expect(
      read.local.options == [
        "a": .array([.integer(1), .string("two"), .null, .bool(true)]), "b": .object(["c": .number(1.5)]),
      ])
    try task("{text: \(String(repeating: "x", count: 1000))}").check()
    let long = try task("{text: \(String(repeating: "x", count: 1001))}")
    #expect { try long.check() } throws: { "\($0)".contains("local.options: model.options and local.options may have at most 1024 bytes") }
    let deep = String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
    #expect(throws: CommandError.self) { try task("{a: \(deep)}") }
    #expect(throws: CommandError.self) { try task("3") }
  }

  @Test("a file that is not there says so")
  func noFile() {
    #expect {
      try TaskFile(path: "/nowhere/task.yaml")
    } throws: { error in
      "\(error)".contains("there is no such file") && (error as? CommandError)?.exit == .usage
    }
  }

  @Test(
    "an id is the name as a slug and a short suffix",
    arguments: [
      ("Digits, LeNet!", "digits-lenet"), ("--", "task"), ("Ünï", "n"),
      (String(repeating: "a", count: 100), String(repeating: "a", count: 56)),
      ("a/b#c+d", "a-b-c-d"),
    ])
  func slug(name: String, expected: String) throws {
    #expect(Slug.text(name) == expected)
    var generator = SystemRandomNumberGenerator()
    let id = Slug.taskID(name, using: &generator)
    #expect(try TaskID(validating: id.rawValue) == id)
    #expect(id.rawValue.count == expected.count + 7)
  }
}

extension String {
  fileprivate func replacingFirst(_ old: String, with new: String) -> String {
    guard let range = firstRange(of: old) else { return self }
    return String(self[..<range.lowerBound]) + new + self[range.upperBound...]
  }
}
