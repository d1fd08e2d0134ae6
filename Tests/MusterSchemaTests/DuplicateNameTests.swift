import Testing

@testable import MusterSchema

@Suite struct DuplicateNameTests {
  @Test(
    "a name that is given twice in an object is refused, with its place",
    arguments: [
      (#"{"rounds":1,"rounds":2}"#, "the name \"rounds\""), (#"{"a":{"b":[{"c":1,"d":2,"c":3}]}}"#, "a.b: the name \"c\""),
      (#"{"a":1,"\u0061":2}"#, "the name \"a\""), (#"{ "x" : {} , "x" : [] }"#, "the name \"x\""), (#"[{"a":1},{"a":1,"a":1}]"#, "\"a\""),
    ])
  func twice(json: String, words: String) throws {
    let error = #expect(throws: JSONRefusal.self) { try JSON.requireDistinctNames(Array(json.utf8)) }
    let said = JSON.explain(try #require(error), in: json.utf8)
    #expect(said.contains(words), "\(said)")
  }

  @Test(
    "the same name in other objects, as a value, or inside a text is no duplicate; what is no JSON is left to the decoder",
    arguments: [
      #"{"a":{"a":{"a":1}},"b":{"a":2}}"#, #"{"a":"a","b":"a"}"#, #"{"a":"{\"a\":1,\"a\":2}","b":["a","a","a"]}"#, "", "{", "}}}]]", "\"",
      "{,,:\"a\"",
      #"{"a":"\\","b":1}"#,
    ])
  func once(json: String) throws {
    try JSON.requireDistinctNames(Array(json.utf8))
  }

  @Test("a task with a name twice is refused at every depth")
  func tasks() {
    let json = #"""
      {"name":"t","model":{"type":"softmax"},"regions":["north"],"rounds":3,"cohort":{"size":2,"minimum":1,"size":1}}
      """#
    let error = #expect(throws: FieldProblem.List.self) { try TaskSpecification(strictJSON: Array(json.utf8)) }
    #expect(error?.description.contains("cohort") == true && error?.description.contains("\"size\" is given twice") == true)
  }

  @Test("very many names, and very deep objects, take no longer than their length")
  func large() throws {
    let many = "{" + (0..<20_000).map { "\"n\($0)\":1" }.joined(separator: ",") + "}"
    let deep = String(repeating: #"{"a":"#, count: 20_000)
    let started = ContinuousClock.now
    try JSON.requireDistinctNames(Array(many.utf8))
    try JSON.requireDistinctNames(Array(deep.utf8))
    #expect(ContinuousClock.now - started < .seconds(20))
  }
}
