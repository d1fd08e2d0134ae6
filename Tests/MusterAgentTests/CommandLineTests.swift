import FoundationEssentials
import TestSupport
import Testing

/// Tests of the program's own command line.
@Suite(.timeLimit(.minutes(1))) struct CommandLineTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func run(_ arguments: String...) async throws -> (status: Int32, text: String) {
    let log = folder.file("\(UInt32.random(in: .min ... .max)).log")
    let process = try ChildProcess("muster-agent", arguments, log: log)
    return (try await process.wait(), process.log)
  }

  @Test("--help shows every flag, and how the configuration is printed")
  func help() async throws {
    let (status, text) = try await run("--help")
    #expect(status == 0)
    for flag in ["--config", "--id", "--region", "--broker", "--state", "--log-level", "--version"] {
      #expect(text.contains(flag), "\(text)")
    }
    #expect(text.contains("config"))
    #expect(try await run("config", "print", "--help").text.contains("--broker"))
    #expect(try await run("--version").text.contains("."))
  }

  @Test("`config print` is understood before and behind the flags")
  func print() async throws {
    let file = try folder.write(#"{"id":"pi-7","region":"north","state":"/srv/agent"}"#, to: "agent.json")
    let behind = try await run("config", "print", "--config", file)
    #expect(behind.status == 0 && behind.text.contains(#"id = "pi-7""#), "\(behind.text)")
    #expect(try await run("--config", file, "config", "print") == behind)
    #expect(try await run("--config=\(file)", "config", "print") == behind)
    let both = try await run("--config", file, "config", "print", "--region", "south")
    #expect(both.text.contains(#"region = "south""#), "\(both.text)")
  }

  @Test("A typo is answered with the flag that was meant")
  func typo() async throws {
    let (status, text) = try await run("--cofnig", "x")
    #expect(status == 64 && text.contains("--config"), "\(text)")
  }
}
