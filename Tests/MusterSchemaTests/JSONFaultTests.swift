import FoundationEssentials
import MusterSchema
import Testing

@Suite("Where a text stops being JSON")
struct JSONFaultTests {
  @Test(
    "what is wrong, and where",
    arguments: [
      ("", "invalid JSON, line 1, column 1: the document is empty"),
      ("{", "invalid JSON, line 1, column 2: the document ends too early"),
      ("{\"a\": [1, 2", "invalid JSON, line 1, column 12: the document ends too early"),
      ("{\n  \"a\": 1\n  \"b\": 2\n}", "invalid JSON, line 3, column 3: expected \",\" or \"}\", found \"\"b\"\""),
      ("{\"a\": tru}", "invalid JSON, line 1, column 7: expected a value, found \"tru\""),
      ("{\"a\": 1,}", "invalid JSON, line 1, column 9: expected a name in quotation marks, found \"}\""),
      ("{a: 1}", "invalid JSON, line 1, column 2: expected a name in quotation marks, found \"a\""),
      ("{\"a\" 1}", "invalid JSON, line 1, column 6: expected \":\", found \"1\""),
      ("[1 2]", "invalid JSON, line 1, column 4: expected \",\" or \"]\", found \"2\""),
      ("1 2", "invalid JSON, line 1, column 3: expected nothing more, found \"2\""),
      ("01", "invalid JSON, line 1, column 2: expected nothing more, found \"1\""),
      ("-", "invalid JSON, line 1, column 2: the document ends too early"),
      ("1.e3", "invalid JSON, line 1, column 3: expected a digit, found \"e3\""),
      ("\"a\nb\"", "invalid JSON, line 1, column 3: expected a quotation mark before the end of the line, found \"\n\""),
      ("\"a\\", "invalid JSON, line 1, column 4: the document ends too early"),
      ("\"\\,\"", "invalid JSON, line 1, column 3: expected one of \" \\ / b f n r t u after the backslash, found \",\""),
      ("\"\\u00g0\"", "invalid JSON, line 1, column 6: expected a hexadecimal digit, found \"g0\"\""),
      ("\"\\u12", "invalid JSON, line 1, column 6: the document ends too early"),
      ("\"\\udc00\"", "invalid JSON, line 1, column 3: expected both halves of a surrogate pair, found \"udc00\"\""),
      ("\"\\ud83dx\"", "invalid JSON, line 1, column 3: expected both halves of a surrogate pair, found \"ud83dx\"\""),
      ("{\"metrics\": {\"loss\": NaN}}", "metrics.loss is not a finite number, but JSON allows only finite numbers"),
      ("[{\"a\": [0, -Infinity]}]", "[0].a[1] is not a finite number, but JSON allows only finite numbers"),
      ("inf", "the value is not a finite number, but JSON allows only finite numbers"),
    ])
  func faults(text: String, expected: String) throws {
    #expect(JSONFault(in: text.utf8).map { "\($0)" } == expected)
  }

  @Test(
    "what is JSON has no fault, and the decoder agrees",
    arguments: [
      "{}", "[]", " [ ] ", "null", "-0.5e+3", "{\"a\": {\"b\": [true, false, \"\\u0041\\\"\"]}}\n", "\"é🙂\"",
      "\"\\ud83d\\uDE42 \\\\ \\/ \\b\\f\\n\\r\\t\"",
    ])
  func sound(text: String) throws {
    #expect(JSONFault(in: text.utf8) == nil)
    _ = try JSON.decode(JSONValue.self, from: text.utf8)
  }

  @Test("any bytes are read to an end, and no depth exhausts the stack")
  func anything() {
    #expect(JSONFault(in: Array(repeating: UInt8(ascii: "["), count: 1_000_000)).map { "\($0)" }?.contains("deeper than 512") == true)
    var random = SystemRandomNumberGenerator()
    let letters = "{}[]\",:\\0-.eNtn \n".utf8.map { [$0] } + [[0xff], [0x00]]
    let escapes = ["\\n", "\\/", "\\u00e9", "\\ud83d", "\\ude42", "\\x", "\\u12", "\\", "a", "\""].map { Array($0.utf8) }
    let quote = Array("\"".utf8)
    for round in 0..<4000 {
      let parts = round.isMultiple(of: 2) ? letters : escapes
      let middle = (0..<Int.random(in: 0...(round.isMultiple(of: 2) ? 40 : 5), using: &random)).flatMap { _ in
        parts.randomElement(using: &random) ?? []
      }
      let text = round.isMultiple(of: 2) ? middle : quote + middle + quote
      if (try? JSON.decode(JSONValue.self, from: text)) == nil, String(validating: text, as: UTF8.self) != nil, JSONFault(in: text) == nil {
        Issue.record("refused, and no fault found: \(text)")
      }
    }
  }

  @Test("an explanation holds no words of Foundation's")
  func explanations() throws {
    struct Round: Decodable { var round: Int }
    func explain(_ text: String) throws -> String {
      let error = #expect(throws: (any Error).self) { try JSON.decode(Round.self, from: text.utf8) }
      return JSON.explain(try #require(error), in: text.utf8)
    }
    #expect(try explain("{\"round\": 1") == "invalid JSON, line 1, column 12: the document ends too early")
    #expect(try explain("{\"round\": 2.5}").hasPrefix("a number does not fit its field"))
    #expect(try explain("{\"round\": \"2\"}") == "round: expected a whole number")
    #expect(try explain("{}") == "round: is missing")
  }
}
