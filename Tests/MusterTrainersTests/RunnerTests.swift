import FoundationEssentials
import Glibc
import MusterSchema
import MusterTensors
import MusterTrainers
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(2))) struct RunnerTests {
  static let good = #"cp "$1/global.safetensors" "$1/update.safetensors"; echo '{"samples":3,"metrics":{"loss":0.5}}' > "$1/metrics.json""#

  /// The outcome of a training job with this script.
  func outcome(of text: String, _ change: (inout TrainerProgram) -> Void = { _ in }) async throws -> Result<TrainerOutcome, TrainerError> {
    try await withTemporaryFolder { folder in
      let job = try Jobs.folder(.train, in: folder)
      var program = TrainerProgram(command: try script(text, in: folder))
      change(&program)
      return try await withRunner(program) { runner in
        do throws(TrainerError) {
          return .success(try await runner.run(Jobs.job(.train), in: job.path))
        } catch {
          return .failure(error)
        }
      }
    }
  }

  @Test("A trainer's result and log are handed back")
  func result() async throws {
    let outcome = try await outcome(of: "echo hello; echo '{ no json'; echo there >&2; \(Self.good)").get()
    #expect(outcome.result == TrainerMetrics(samples: 3, metrics: ["loss": 0.5]))
    #expect(outcome.parameters?.hasSuffix("/update.safetensors") == true)
    #expect(Set(outcome.log) == ["hello", "{ no json", "there"])
  }

  @Test("Progress lines arrive in order, the last without waiting for its turn")
  func progress() async throws {
    try await withTemporaryFolder { folder in
      let job = try Jobs.folder(.train, in: folder)
      let lines = (1...100).map { #"{"progress":\#(Double($0) / 100),"epoch":\#($0 / 51 + 1),"loss":0.25}"# }
      let command = try script("cat <<'END'\n\(lines.joined(separator: "\n"))\nEND\n\(Self.good)", in: folder)
      let seen = Mutex<[TrainerProgress]>([])
      try await withRunner(TrainerProgram(command: command)) { runner in
        _ = try await runner.run(Jobs.job(.train), in: job.path) { progress in seen.withLock { $0.append(progress) } }
      }
      let all = seen.withLock { $0 }
      #expect(all.first == TrainerProgress(fraction: 0.01, epoch: 1, loss: 0.25))
      #expect(all.last == TrainerProgress(fraction: 1, epoch: 2, loss: 0.25))
      #expect(all.map(\.fraction) == all.map(\.fraction).sorted())
      #expect(all.count < 50)
    }
  }

  @Test("Failures have their type, their reason and the last lines")
  func failures() async throws {
    func error(_ text: String) async throws -> TrainerError? {
      switch try await outcome(of: text) {
      case .success: nil
      case .failure(let error): error
      }
    }
    #expect(try await error("echo no memory left >&2; exit 1") == .failed(exit: 1, log: ["no memory left"]))
    #expect(try await error("kill -ABRT $$") == .signalled(SIGABRT, log: []))
    #expect(try await error("exit 0") == .noResult(file: "metrics.json", log: []))
    #expect(try await error(#"echo '{"samples":3,"metrics":{}}' > "$1/metrics.json""#) == .noResult(file: "update.safetensors", log: []))
    for text in ["", "{", "[]", #"{"samples":"many","metrics":{}}"#, #"{"samples":1,"metrics":{"loss":1}"#] {
      guard case .malformed = try await error("\(Self.good); echo '\(text)' > \"$1/metrics.json\"") else {
        Issue.record("\(text) was not malformed")
        continue
      }
    }
    guard case .malformed = try await error("\(Self.good); echo nonsense > \"$1/update.safetensors\"") else {
      Issue.record("a file that is no safetensors was taken")
      return
    }
    guard case .nonFinite(let why, _) = try await error("\(Self.good); echo '{\"samples\":0,\"metrics\":{}}' > \"$1/metrics.json\"") else {
      Issue.record("no samples were taken")
      return
    }
    #expect(why.contains("samples is 0"))
  }

  @Test("An update with a NaN is refused")
  func nan() async throws {
    try await withTemporaryFolder { folder in
      let bad = "\(folder)/bad.safetensors"
      try SafetensorsWriter.write([Tensor(name: "w", shape: [2], floats: [1, .nan])], to: bad)
      let result = try await outcome(of: "\(Self.good); cp \(bad) \"$1/update.safetensors\"")
      #expect(result == .failure(.nonFinite("tensor w is not finite", log: [])))
    }
  }

  @Test("A program that is missing, or may not run, is named")
  func notStarted() async throws {
    for command in [["no-such-trainer-here"], ["/etc/passwd"], ["/no/such/trainer"], []] {
      let result = try await outcome(of: "") { $0.command = command }
      guard case .failure(.notStarted(let why)) = result else {
        Issue.record("\(command) was started: \(result)")
        continue
      }
      #expect(command.isEmpty || why.contains(command[0]))
    }
    let result = try await outcome(of: Self.good) { $0.folder = "/no/such/folder" }
    guard case .failure(.notStarted) = result else { return #expect(Bool(false), "\(result)") }
  }

  @Test("A stale result in the folder is no result")
  func stale() async throws {
    try await withTemporaryFolder { folder in
      let job = try Jobs.folder(.train, in: folder)
      try Data(#"{"samples":3,"metrics":{}}"#.utf8).write(to: URL(filePath: job.metrics))
      try await withRunner(TrainerProgram(command: try script("exit 0", in: folder))) { runner in
        let error = await failure { _ = try await runner.run(Jobs.job(.train), in: job.path) }
        #expect(error == .noResult(file: "metrics.json", log: []))
      }
    }
  }

  @Test("A flood of output and endless lines cost neither memory nor the result")
  func flood() async throws {
    let text = """
      head -c 2000000 /dev/zero | tr '\\0' 'x'; echo
      yes '{"progress":0.5}' | head -n 20000
      yes 'a line of log' | head -n 20000 >&2
      \(Self.good)
      """
    let outcome = try await outcome(of: text).get()
    #expect(outcome.log.count <= 50)
    #expect(outcome.log.allSatisfy { $0.count <= 500 })
    #expect(outcome.log.contains { $0.hasSuffix("more lines)") })
  }

  @Test("The environment is minimal, with the threads of the budget")
  func environment() async throws {
    setenv("MUSTER_TEST_SECRET", "secret", 1)
    let outcome = try await outcome(of: "env; pwd; \(Self.good)") {
      $0.environment = ["EXTRA": "given"]
      $0.threads = 3
      $0.folder = "/"
    }.get()
    let names = Set(outcome.log.compactMap { $0.contains("=") ? $0.split(separator: "=").first.map(String.init) : nil })
    #expect(names.isSuperset(of: ["PATH", "LANG", "EXTRA", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"]))
    #expect(!names.contains("MUSTER_TEST_SECRET"))
    #expect(outcome.log.contains("OMP_NUM_THREADS=3") && outcome.log.contains("/"))
  }

  @Test("Only the standard descriptors are open in a trainer, and no signal is ignored")
  func descriptors() async throws {
    let leak = open("/etc/passwd", O_RDONLY)
    defer { close(leak) }
    func log(_ command: [String]) async throws -> [String] {
      guard case .failure(let error) = try await outcome(of: "", { $0.command = command }) else { return [] }
      return error.log
    }
    // 3 is the folder that ls reads.
    #expect(try await log(["/bin/ls", "/proc/self/fd"]).compactMap { Int($0) }.sorted() == [0, 1, 2, 3])
    let ignored = try await log(["/bin/sh", "-c", "exec grep SigIgn /proc/self/status"]).first?.suffix(16)
    // glibc's own signals 32 and 33 are ignored here.
    #expect(try #require(UInt64(ignored ?? "", radix: 16)) & 0x7fff_ffff == 0)
  }

  @Test("A trainer that takes too long is stopped")
  func timeout() async throws {
    let result = try await outcome(of: "echo begun; sleep 100") { $0.timeoutSeconds = 0.2 }
    #expect(result == .failure(.timedOut(seconds: 0.2, log: ["begun"])))
  }

  @Test("Cancelling asks first, then kills the whole process group")
  func cancel() async throws {
    try await withTemporaryFolder { folder in
      let job = try Jobs.folder(.train, in: folder)
      // A trainer that ignores SIGTERM, with a child process.
      let command = try script("trap '' TERM; sleep 100 & echo $! > \"$1/child\"; echo $$ > \"$1/pid\"; wait; sleep 100", in: folder)
      try await withRunner(TrainerProgram(command: command, graceSeconds: 0.2)) { runner in
        let error = try await cancelling(when: { !text("\(job.path)/pid").isEmpty }) {
          _ = try await runner.run(Jobs.job(.train), in: job.path)
        }
        #expect(error == .cancelled)
        let pids = ["pid", "child"].compactMap { Int(text("\(job.path)/\($0)").split(separator: "\n").first ?? "") }
        #expect(pids.count == 2)
        #expect(try await eventually { !pids.contains(where: isAlive) })
      }
    }
  }

  @Test("A job that waits for its turn can be cancelled, and shutdown cancels what runs")
  func queue() async throws {
    try await withTemporaryFolder { folder in
      let first = try Jobs.folder(.train, in: folder, "first")
      let second = try Jobs.folder(.train, in: folder, "second")
      let command = try script("echo $$ > \"$1/pid\"; sleep 100", in: folder)
      let runner = TrainerRunner(TrainerProgram(command: command), logger: logger)
      async let running = failure { _ = try await runner.run(Jobs.job(.train), in: first.path) }
      #expect(try await eventually { !text("\(first.path)/pid").isEmpty })
      let error = try await cancelling(when: { true }) { _ = try await runner.run(Jobs.job(.train), in: second.path) }
      #expect(error == .cancelled)
      await runner.shutdown()
      #expect(await running == .cancelled)
      #expect(text("\(second.path)/pid").isEmpty)
      #expect(await failure { _ = try await runner.run(Jobs.job(.train), in: second.path) } == .cancelled)
    }
  }
}
