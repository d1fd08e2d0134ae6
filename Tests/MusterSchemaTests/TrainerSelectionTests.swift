import MusterSchema
import Testing

@Suite("Which trainers may do a task")
struct TrainerSelectionTests {
  private func task(_ trainer: String, model: String = #"{"type":"lenet5"}"#) throws(FieldProblem.List) -> TaskSpecification {
    try TaskSpecification(
      strictJSON: Array(
        #"{"name":"d","model":\#(model),"trainer":\#(trainer),"regions":["north"],"rounds":3,"cohort":{"size":2}}"#.utf8))
  }

  @Test("one name, or any of several, with a least version perhaps: read, and written the same again")
  func reading() throws {
    #expect(try task(#""built-in""#).trainer == "built-in")
    let several = try task(#"{"any":["onnx","pytorch >= 2.1"]}"#).trainer
    #expect(several == TrainerSelection(any: ["onnx", "pytorch>=2.1"]))
    #expect(several.names == ["onnx", "pytorch"] && several.any[1].least == "2.1")
    #expect(String(decoding: try JSON.encode(several), as: UTF8.self) == #"{"any":["onnx","pytorch>=2.1"]}"#)
    #expect(String(decoding: try JSON.encode(TrainerSelection("built-in")), as: UTF8.self) == #""built-in""#)
    #expect("\(several)" == "onnx or pytorch>=2.1")
    #expect(try task(#"{"any":["onnx"]}"#).trainer == "onnx", "any of one is that one")
    // Combining marks that join the sign or the space before them.
    for text in ["c>= \t\t\u{301}x", "c>=\u{301}", "c \u{301}>=1", "\u{301}>=>=", " c> >=1 "] {
      let odd = TrainerSelection(text)
      #expect(TrainerSelection("\(odd)") == odd, "\(odd)")
    }
  }

  @Test("what is no selection is named")
  func mistakes() throws {
    func problems(_ trainer: String) throws -> [FieldProblem] { try task(trainer).problems() }
    #expect(try problems(#""""#).map(\.field) == ["trainer"])
    #expect(try problems(#"{"any":[]}"#).map(\.description) == ["trainer: must name a trainer"])
    #expect(try problems(#"{"any":["a","a>=2"]}"#).map(\.description) == ["trainer: names a trainer twice"])
    #expect(try problems(#""a>=new""#).map(\.description) == ["trainer: a>= needs a version like 2.1"])
    #expect(try problems(#"{"any":["1","2","3","4","5","6","7","8","9"]}"#).map(\.field) == ["trainer"])
    #expect(throws: FieldProblem.List.self) { try task(#"{"all":["a"]}"#) }
    #expect(throws: FieldProblem.List.self) { try task("7") }
  }

  @Test(
    "versions are compared number by number",
    arguments: [
      ("2.1", "2.1", true), ("2.1", "2.1.0", true), ("2.1", "2.10", true), ("2.1", "2.0.9", false), ("2", "10.0+cpu", true),
      ("2.1", "torch 2.15.0", true), ("2.1.1", "2.1", false), ("1.0", "dev", false),
    ])
  func versions(least: String, version: String, enough: Bool) {
    #expect(TrainerSelection.Alternative("a>=\(least)").admits(version) == enough)
  }

  @Test("a training step travels with its digest; an unknown format is refused")
  func step() throws {
    let digest = Digest(of: Array("step".utf8))
    let model = #"{"type":"lenet5","step":{"blob":"\#(digest)"}}"#
    let task = try task(#""onnx""#, model: model)
    #expect(task.model.step == TrainingStep(blob: digest) && task.problems() == [])
    #expect(task.model.step?.file == "step.onnx" && task.model.step?.capability == "step:onnx")
    #expect(
      String(decoding: try JSON.encode(task.model), as: UTF8.self) == #"{"step":{"blob":"\#(digest)","format":"onnx"},"type":"lenet5"}"#)
    let other = try self.task(#""onnx""#, model: #"{"type":"lenet5","step":{"blob":"\#(digest)","format":"../x","bytes":0}}"#)
    #expect(other.problems().map(\.field) == ["model.step.format", "model.step.bytes"])
    #expect(throws: FieldProblem.List.self) { try self.task(#""onnx""#, model: #"{"type":"lenet5","step":{"file":"a"}}"#) }
  }
}
