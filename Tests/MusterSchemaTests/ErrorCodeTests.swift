import FoundationEssentials
import MusterSchema
import Testing

@Suite struct ErrorCodeTests {
  @Test func theDocumentedTablesAreThoseOfTheRegistry() throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let page = try String(contentsOf: folder.appending(path: "docs/errors.md"), encoding: .utf8)
    let codes = ErrorCode.allCases.map { code in
      "| `\(code.rawValue)` | \(code.httpStatus.map { "\($0)" } ?? "") | \(code.exit.rawValue) | \(code.title) |"
    }
    let exits = ExitStatus.allCases.map { "| \($0.rawValue) | \($0.meaning) |" }
    for (table, rows) in [("codes", codes), ("exit codes", exits)] {
      #expect(page.contains(rows.joined(separator: "\n") + "\n"), "docs/errors.md, the table of \(table):\n\(rows.joined(separator: "\n"))")
    }
  }

  @Test func aCodesWordIsPlainAndItsStatusIsAnError() {
    for code in ErrorCode.allCases {
      #expect(code.rawValue.wholeMatch(of: /[a-z]+(-[a-z]+)*/) != nil, "\(code)")
      #expect(code.httpStatus.map { (400...599).contains($0) } ?? true, "\(code)")
      #expect(code.exit != .success && !code.title.isEmpty, "\(code)")
    }
  }

  @Test func aProblemCarriesItsCodeStatusAndTitle() throws {
    let problem = Problem(.phaseClosed, "round 1 is closed")
    #expect(
      String(decoding: try JSON.encode(problem), as: UTF8.self)
        == #"{"code":"phase-closed","detail":"round 1 is closed","status":410,"title":"The phase is closed"}"#)
  }

  @Test func aCodeOfANewerProgramIsReadAsUnrecognizedAndNoneAsNone() throws {
    let newer = #"{"code":"out-of-tea","detail":"","status":418,"title":"Teapot"}"#
    #expect(try JSON.decode(Problem.self, from: Array(newer.utf8)).code == .unrecognized)
    let older = #"{"detail":"","status":404,"title":"Not found"}"#
    #expect(try JSON.decode(Problem.self, from: Array(older.utf8)).code == nil)
    let status = #"{"kind":"node-status","node":"pi-1","task":"t","state":"failed","reason":"r","code":"out-of-tea"}"#
    #expect(try MessageCoder.decode(NodeStatus.self, from: Array(status.utf8)).code == .unrecognized)
  }
}
