import FoundationEssentials
import Glibc
import MusterSchema
import MusterTensors
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  /// The demo that `scripts/demo` runs after the build.
  @Suite struct DemoTests {
    @Test("The demo trains the digits to at least 0.95 on its own fleet, leaves the model and stops everything", .timeLimit(.minutes(2)))
    func trains() async throws {
      let folder = try TemporaryFolder()
      let demo = try start(["--folder", folder.file("fleet"), "--output", "json"], in: folder)
      #expect(try await demo.wait(within: .seconds(100)) == 0, "\(demo.log.suffix(2000))")
      let model = try SafetensorsFile(path: folder.file("fleet/global.safetensors"))
      #expect(model.tensors.reduce(0) { $0 + $1.elementCount } == 19_754)
      let accuracy = try #require(self.accuracy(in: demo.log))
      #expect(accuracy >= 0.95)
      #expect(programs(naming: folder.path).isEmpty)
    }

    @Test("Ctrl-C stops everything that the demo started", .timeLimit(.minutes(1)))
    func interrupted() async throws {
      let folder = try TemporaryFolder()
      let demo = try start(["--folder", folder.file("fleet"), "--rounds", "1000"], in: folder)
      let isUp = try await eventually(within: .seconds(30)) { programs(naming: folder.path).count { $0.contains("muster-agent") } == 8 }
      #expect(isUp, "\(demo.log.suffix(2000))")
      demo.signal(SIGINT)
      #expect(try await demo.wait(within: .seconds(20)) == 130)
      #expect(programs(naming: folder.path).isEmpty)
    }

    @Test("With --stay the fleet runs on after its task until Ctrl-C, which is then no failure", .timeLimit(.minutes(1)))
    func stays() async throws {
      let folder = try TemporaryFolder()
      let demo = try start(["--folder", folder.file("fleet"), "--rounds", "1", "--stay"], in: folder)
      let isDone = try await eventually(within: .seconds(40)) { demo.log.contains("The fleet keeps running until Ctrl-C") }
      #expect(isDone, "\(demo.log.suffix(2000))")
      #expect(programs(naming: folder.path).count { $0.contains("muster-agent") } == 8)
      // The commands that it prints work unchanged.
      let offered = try #require(demo.log.split(separator: "\n").first { $0.contains("curl -s http://") })
      let address = try #require(offered.split(separator: " ").last.map(String.init))
      let tasks: [TaskSummary] = try await HTTPClient(HTTPConfiguration()).get(from: address)
      #expect(tasks.map(\.step) == [.completed])
      demo.signal(SIGINT)
      #expect(try await demo.wait(within: .seconds(20)) == 0, "\(demo.log.suffix(2000))")
      #expect(programs(naming: folder.path).isEmpty)
    }

    private func start(_ arguments: [String], in folder: TemporaryFolder) throws -> ChildProcess {
      try ChildProcess(
        "\(try Checkout.executables())/muster", ["demo", "--task", try Checkout.file("examples/digits/task.yaml")] + arguments,
        log: folder.file("demo.log"))
    }

    /// The last accuracy in the demo's JSON.
    private func accuracy(in log: String) -> Double? {
      log.split(separator: "\"accuracy\":").last.flatMap { text in
        Double(text.drop { $0 == " " }.prefix { $0.isNumber || $0 == "." })
      }
    }

    /// Command lines of running processes that contain the folder, except this test's own.
    private func programs(naming folder: String) -> [String] {
      let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
      return processes.filter { Int($0) != nil && $0 != "\(getpid())" }.compactMap { process in
        guard let bytes = FileManager.default.contents(atPath: "/proc/\(process)/cmdline") else { return nil }
        let line = String(decoding: bytes.map { $0 == 0 ? 0x20 : $0 }, as: UTF8.self)
        return line.contains(folder) && !line.contains("muster demo") ? line : nil
      }
    }
  }
}
