import FoundationEssentials
import Glibc
import Logging
import Synchronization
import TestSupport
import Testing

@testable import MusterLog

@Suite struct LogLineTests {
  /// What a logger writes.
  private func lines(_ format: LogLine.Format, _ log: (Logger) -> Void) -> [String] {
    let written = Mutex<[String]>([])
    let handler = LineLogHandler(label: "muster.agent", level: .trace, format: format) { line in written.withLock { $0.append(line) } }
    log(Logger(label: "muster.agent") { _ in handler })
    return written.withLock(\.self)
  }

  @Test("An event is one line, whatever it holds")
  func oneLine() {
    let lines = lines(.journal) { logger in
      logger.warning("first\nsecond\r\u{1b}[2J\u{2028}third", metadata: ["task.id": "a\nb", "round": "3"])
    }
    #expect(lines == [#"<4>muster.agent: round=3 task.id=a\nb [MusterLogTests] first\nsecond\u{d}\u{1b}[2J\u{2028}third"# + "\n"])
  }

  @Test("For the journal each level has its priority, and no time")
  func priorities() {
    let lines = lines(.journal) { logger in for level in Logger.Level.allCases { logger.log(level: level, "x") } }
    #expect(lines.map { String($0.prefix(3)) } == ["<7>", "<7>", "<6>", "<5>", "<4>", "<3>", "<2>"])
  }

  @Test("Elsewhere a line begins with a time that has milliseconds, and the level")
  func time() throws {
    let line = try #require(lines(.timed) { $0.info("ready") }.first)
    let pattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4} info muster\.agent: \[MusterLogTests\] ready\n$/
    #expect(line.contains(pattern), "\(line)")
  }

  @Test("The programs' standard error has priorities only where the journal reads it", .timeLimit(.minutes(1)))
  func journal() async throws {
    let folder = try TemporaryFolder()
    let log = folder.file("stderr")
    // `JOURNAL_STREAM` names the very file that standard error is.
    let script = """
      JOURNAL_STREAM=$(stat -L -c '%d:%i' /dev/stderr) "$0" --id pi-1 --region north --state "$1/state" --broker 127.0.0.1:1 &
      pid=$!; while [ ! -s "$2" ]; do sleep 0.02; done; kill $pid; wait $pid
      JOURNAL_STREAM=1:1 "$0" --id pi-1 --region north --state "$1/state" --broker 127.0.0.1:1 2> "$1/other" &
      pid=$!; while [ ! -s "$1/other" ]; do sleep 0.02; done; kill $pid; wait $pid
      """
    let shell = try ChildProcess("/bin/sh", ["-c", script, try Executable.find("muster-agent"), folder.path, log], log: log)
    try await shell.wait()
    let journal = shell.log.split(separator: "\n")
    #expect(!journal.isEmpty && journal.allSatisfy { $0.hasPrefix("<") }, "\(shell.log)")
    let other = try String(contentsOfFile: folder.file("other"), encoding: .utf8)
    #expect(!other.isEmpty && other.hasPrefix("20"), "\(other)")
  }
}
