import FoundationEssentials
import Glibc
import MusterSchema
import TestSupport
import Testing

@testable import MusterCommands

@Suite("The demo's programs")
struct ProgramFleetTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func program(_ name: String, _ script: String, stage: DemoPlan.Stage = .agents) -> DemoPlan.Program {
    DemoPlan.Program(
      name: name, stage: stage, executable: "/bin/sh", arguments: ["-c", script], log: folder.file("\(name).log"), files: [:])
  }

  private func lines(_ name: String) -> [String] {
    do {
      let text = String(decoding: try Data(contentsOf: URL(filePath: folder.file(name))), as: UTF8.self)
      return text.split(separator: "\n").map(String.init)
    } catch {
      return []
    }
  }

  /// A shell script that records when it starts and, after SIGTERM, when it stops.
  private func polite(_ name: String) -> String {
    let book = folder.file("book")
    return "trap 'echo stop \(name) >>\(book); exit 0' TERM; echo start \(name) >>\(book); while :; do sleep 0.02; done"
  }

  @Test("what the demo started ends with it, the agents before the broker")
  func order() async throws {
    try await ProgramFleet.with { fleet in
      try fleet.launch(program("broker", polite("broker"), stage: .broker))
      try fleet.launch(program("agent", polite("agent")))
      #expect(try await eventually { lines("book").count == 2 })
    }
    #expect(lines("book").suffix(2) == ["stop agent", "stop broker"])
  }

  @Test("an error in the middle stops everything, too, and is the one that is reported")
  func error() async throws {
    await #expect(throws: CommandError(.taskFailed, "the task failed")) {
      try await ProgramFleet.with { fleet in
        try fleet.launch(program("agent", polite("agent")))
        #expect(try await eventually { lines("book").count == 1 })
        throw CommandError(.taskFailed, "the task failed")
      }
    }
    #expect(lines("book").last == "stop agent")
  }

  @Test("a program that dies while the demo comes up is the demo's failure, with the end of its log")
  func earlyDeath() async throws {
    do {
      try await ProgramFleet.with { fleet in
        try fleet.launch(program("central", "echo the port is taken; exit 7", stage: .servers))
        try await Task.sleep(for: .seconds(30))
      }
      Issue.record("nobody noticed")
    } catch let error as CommandError {
      #expect(error.description.contains("central ended with exit code 7") && error.description.contains("the port is taken"))
    }
  }

  @Test("a program that is not there is named")
  func missing() async throws {
    await #expect {
      try await ProgramFleet.with { fleet in
        var program = program("agent", "")
        program.executable = "/nowhere/muster-agent"
        try fleet.launch(program)
        try await Task.sleep(for: .seconds(30))
      }
    } throws: { "\($0)".contains("agent cannot be started") }
  }

  @Test("a program that is killed later is started again")
  func restart() async throws {
    try await ProgramFleet.with { fleet in
      try fleet.launch(program("agent", "echo $$ >>\(folder.file("pids")); \(polite("agent"))"))
      #expect(try await eventually { lines("book").count == 1 })
      fleet.isUp()
      let pid = try #require(lines("pids").first.flatMap { Int32($0) })
      kill(pid, SIGKILL)
      #expect(try await eventually { lines("pids").count == 2 })
    }
  }
}
