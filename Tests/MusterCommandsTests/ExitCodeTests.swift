import ArgumentParser
import MusterSchema
import MusterTransfer
import Testing

@testable import MusterCommands

@Suite("Exit codes")
struct ExitCodeTests {
  private static func problem(_ status: Int) -> TransferError {
    .problem(Problem(status: status, title: "T", detail: "D"), retryAfter: nil)
  }

  private static let answers: [(TransferError, Int32)] = [
    (problem(404), 3), (problem(409), 3), (problem(422), 3), (problem(507), 3), (problem(500), 1), (problem(503), 4),
    (.unreachable(host: "h", why: "w"), 4), (.timedOut(host: "h"), 4), (.io("x"), 1), (.tooLarge(maximumBytes: 1), 1),
    (.digestMismatch(expected: Digest(of: [1]), got: Digest(of: [2])), 1), (.cancelled, 130),
    (.problem(Problem(.mailboxFull, ""), retryAfter: 1), 4), (.problem(Problem(.taskEnded, ""), retryAfter: nil), 3),
    (.problem(Problem(.replayFailed, ""), retryAfter: nil), 1),
  ]

  @Test("what central answers decides the code", arguments: answers)
  func transfer(error: TransferError, code: Int32) {
    #expect(LastWord(CommandError(error, central: "http://c"), isParsing: false).code == code)
  }

  @Test("a silent central is named, with what to do")
  func unreachable() {
    let error = CommandError(.unreachable(host: "127.0.0.1", why: "Couldn't connect"), central: "http://127.0.0.1:7401")
    #expect(
      error.description
        == "central at http://127.0.0.1:7401 does not answer: Couldn't connect. Check that it is running, or set another address with --central or MUSTER_CENTRAL"
    )
  }

  @Test("a refused task names every field")
  func fields() {
    let problem = Problem(
      .invalidTask, "", problems: [.init(field: "rounds", message: "too few"), .init(field: "", message: "x")])
    let error = CommandError(.problem(problem, retryAfter: nil), central: "http://c")
    #expect(error.description == "The task is refused\n  rounds: too few\n  x")
  }

  private static let commandLines: [(String, Int32)] = [
    ("nonsense", 2), ("task show a/b", 2), ("task push", 2), ("task list --output xml", 2), ("task push f --dry-run --watch", 2),
    ("demo --devices 0", 2), ("model get t", 2), ("model get t --out f --round x", 2), ("--help", 0), ("task push --help", 0),
    ("--version", 0), ("--generate-completion-script bash", 0),
  ]

  @Test("a wrong command line is 2, help and version are 0", arguments: commandLines)
  func commandLine(line: String, code: Int32) throws {
    do {
      _ = try MusterCommand.parseAsRoot(line.split(separator: " ").map(String.init))
      // The help of the root command runs as a command of its own.
      #expect(code == 0)
    } catch {
      let word = LastWord(error, isParsing: true)
      #expect(word.code == code)
      #expect(word.output.isEmpty == (code != 0))
      #expect(word.complaint.isEmpty == (code == 0))
    }
  }

  @Test("an identifier that is none is explained")
  func identifierMessage() {
    #expect {
      try MusterCommand.parseAsRoot(["why", "a/b"])
    } throws: { LastWord($0, isParsing: true).complaint.contains("must be 1 to 63 characters of a-z, 0-9 and -") }
  }

  @Test("nobody answers: 4, without waiting for long")
  func noCentral() async throws {
    #expect(await CommandLineProgram.run(["task", "list", "--central", "http://127.0.0.1:1"]) == 4)
    #expect(await CommandLineProgram.run(["task", "watch", "t", "--central", "http://127.0.0.1:1"]) == 4)
    #expect(await CommandLineProgram.run(["tail", "--broker", "mqtt://127.0.0.1:1"]) == 4)
    #expect(await CommandLineProgram.run(["task", "list", "--central", "127.0.0.1:1"]) == 2)
    #expect(await CommandLineProgram.run(["task", "push", "/nowhere/task.yaml"]) == 2)
  }
}
