import FoundationEssentials
import Glibc
import TestSupport
import Testing

extension EndToEnd {
  /// Programs that start without a home folder, as in units and containers.
  @Suite(.enabled(if: geteuid() == 0, "needs root")) struct HomelessTests {
    @Test(
      "A user without a home folder is told to configure `state`; nothing is written where others could reach it",
      .timeLimit(.minutes(1)),
      arguments: [
        ("muster-agent", ["--id", "pi-1", "--region", "north"], 78), ("muster-central", ["--regions", "north"], 78),
        ("muster-region", ["--id", "north"], 78),
      ])
    func homeless(program: String, flags: [String], status: Int32) async throws {
      let folder = try TemporaryFolder()
      // A user that is not in the password file.
      let command = [
        "--reuid", "54321", "--regid", "54321", "--clear-groups", "env", "-i", try Executable.find(program), "config", "print",
      ]
      let process = try ChildProcess("setpriv", command + flags, log: folder.file("log"))
      #expect(try await process.wait() == status, "\(process.log)")
      #expect(process.log.contains("configuration: state: is missing"), "\(process.log)")
      let configured = try ChildProcess("setpriv", command + flags + ["--state", "/srv/muster"], log: folder.file("log2"))
      #expect(try await configured.wait() == 0, "\(configured.log)")
      #expect(configured.log.contains("/srv/muster"), "\(configured.log)")
    }
  }
}
