import FoundationEssentials
import Glibc
import MusterSchema
import MusterTransfer
import Synchronization
import TestSupport
import Testing

extension EndToEnd {
  /// A fleet with identities: central and a region, each with a broker of its own, and two devices. Nothing is set up but with the
  /// documented commands.
  @Suite struct SecureFleetTests {
    private final class SecureFleet: Sendable {
      let folder: TemporaryFolder
      let ops: String
      let northData: String
      private let ports: [Int]
      private let programs: String
      private let running = Synchronized<[ChildProcess]>([])
      private let broker = Synchronized<[String: BrokerProcess]>([:])

      init() async throws {
        folder = try TemporaryFolder()
        // mosquitto, which runs as another user here, must reach its own folder below.
        chmod(folder.path, 0o711)
        programs = try Checkout.executables()
        ports = try (0..<6).map { _ in try freePort() }
        ops = "http://127.0.0.1:\(ports[2])"
        northData = "https://localhost:\(ports[4])"

        try await run(
          "muster-central", "init", "--names", "localhost,127.0.0.1", "--state", folder.file("central"), "--broker-port", "\(ports[0])",
          "--data-port", "\(ports[1])")
        try start(
          "central", "muster-central",
          ["--state", folder.file("central"), "--data-host", "127.0.0.1", "--ops-port", "\(ports[2])"])
        _ = try await eventually(within: .seconds(20)) { self.log("central").contains("muster-central is ready") }
        let region = try await run(
          "muster", "region", "token", "create", "north", "--name", "localhost", "--broker-port", "\(ports[3])", "--data-port",
          "\(ports[4])",
          "--central", ops)
        try await run("muster-region", "enroll", firstLine(region), "--state", folder.file("north"))
        for (name, port) in [("central", ports[0]), ("north", ports[3])] {
          let place = folder.file("\(name)-broker")
          try await run(
            name == "central" ? "muster-central" : "muster-region", "broker-config", place, "--state", folder.file(name), "--broker-bind",
            "127.0.0.1")
          let process = BrokerProcess(configuration: "\(place)/mosquitto.conf", port: port, folder: folder)
          try await process.start()
          broker.with { $0[name] = process }
        }
        try start(
          "north", "muster-region", ["--state", folder.file("north"), "--data-host", "127.0.0.1", "--ops-port", "\(ports[5])"])
        let token = try await run("muster", "node", "token", "create", "--uses", "2", "--region", "north", "--central", ops)
        for (index, device) in ["pi-1", "pi-2"].enumerated() {
          try await run("muster-agent", "enroll", firstLine(token), "--state", folder.file(device), "--id", device)
          let file = try folder.write(Array(try configuration(device, index).utf8), to: "\(device).json")
          try start(device, "muster-agent", ["--config", file])
        }
      }

      private func firstLine(_ text: String) -> String { String(text.prefix { !$0.isNewline }) }

      private func configuration(_ device: String, _ index: Int) throws -> String {
        let digits = try Checkout.file("examples/digits/data")
        return """
          {
            "state": "\(folder.file(device))",
            "trainers": {"built-in": {"command": ["\(programs)/muster-train", "--resident"], "resident": true}},
            "data": {"format": "idx", "images": "\(digits)/train-images-idx3-ubyte.gz", "labels": "\(digits)/train-labels-idx1-ubyte.gz",
              "partition": {"iid": {"of": 2, "index": \(index), "seed": 1}}},
            "policy": {"maxLoad": 10000}
          }
          """
      }

      @discardableResult
      func run(_ program: String, _ arguments: String...) async throws -> String {
        let process = try ChildProcess(
          "\(programs)/\(program)", arguments, log: folder.file("run-\(UInt32.random(in: .min ... .max)).log"),
          environment: ["PATH": "\(programs):/usr/sbin:/usr/bin:/bin"])
        let status = try await process.wait(within: .seconds(60))
        guard status == 0 else { throw TestSupportError("\(program) \(arguments.joined(separator: " ")): exit \(status): \(process.log)") }
        return process.log
      }

      private func start(_ name: String, _ program: String, _ arguments: [String]) throws {
        let process = try ChildProcess(
          "\(programs)/\(program)", arguments, log: folder.file("\(name).log"),
          environment: ["PATH": "\(programs):/usr/sbin:/usr/bin:/bin"])
        running.with { $0.append(process) }
      }

      func log(_ name: String) -> String {
        do { return try String(contentsOfFile: folder.file("\(name).log"), encoding: .utf8) } catch { return "" }
      }

      func end() async throws {
        for process in running.with({ $0 }) { process.signal(SIGKILL) }
        for process in running.with({ $0 }) { try await process.wait() }
        for process in broker.with({ Array($0.values) }) { try await process.kill() }
      }
    }

    @Test(
      "A fleet with identities trains the digits, over TLS everywhere, set up with the documented commands only", .timeLimit(.minutes(3)))
    func trains() async throws {
      let fleet = try await SecureFleet()
      do {
        let http = try HTTPClient()
        let task = TaskSpecification(
          name: "digits", model: ModelSpecification(type: "lenet5", input: [1, 8, 8], classes: 10), trainer: "built-in",
          regions: [NodeID(unchecked: "north")], rounds: 2, cohort: CohortSpecification(size: 2, minimum: 2, seconds: 60),
          local: LocalTraining(epochs: 1, batch: 8, rate: 0.1), evaluate: EvaluationSpecification(every: 1, devices: true))
        _ = try await http.send("PUT", "\(fleet.ops)/v1/tasks/digits", json: task)
        let isDone = try await eventually(within: .seconds(90)) {
          try await http.get(RoundState.self, from: "\(fleet.ops)/v1/tasks/digits/now").step.isFinal
        }
        let detail: TaskDetail = try await http.get(from: "\(fleet.ops)/v1/tasks/digits")
        let logs = ["central", "north", "pi-1", "pi-2"].map { "—— \($0)\n\(fleet.log($0).suffix(1500))" }.joined(separator: "\n")
        #expect(isDone && detail.summary.step == .completed, "\(detail.summary.why)\n\(logs)")
        #expect(
          detail.rounds.map { $0.updates.map(\.path.description).sorted() } == [
            ["north/pi-1", "north/pi-2"], ["north/pi-1", "north/pi-2"],
          ])
      } catch {
        try await fleet.end()
        throw error
      }
      try await fleet.end()
    }
  }
}

/// A value that several tasks change.
private final class Synchronized<Value: Sendable>: Sendable {
  private let value: Mutex<Value>

  init(_ value: Value) { self.value = Mutex(value) }

  func with<Result: Sendable>(_ body: (inout Value) -> Result) -> Result { value.withLock { body(&$0) } }
}
