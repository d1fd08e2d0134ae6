import FoundationEssentials
import Glibc
import MusterSchema
import MusterTrainers
import Testing

@Suite(.timeLimit(.minutes(2))) struct ResidentTests {
  static let good = """
    cp "$job/global.safetensors" "$job/update.safetensors"; echo "{\\"samples\\":$$,\\"metrics\\":{}}" > "$job/metrics.json"
    """

  @Test("One process does many jobs, and is started again after its death")
  func reuse() async throws {
    try await withTemporaryFolder { folder in
      let program = TrainerProgram(command: try residentScript(Self.good, in: folder), resident: true)
      try await withRunner(program) { runner in
        func pid(_ name: String) async throws -> Int {
          let job = try Jobs.folder(.train, in: folder, name)
          return Int(try await runner.run(Jobs.job(.train), in: job.path).result.samples)
        }
        let first = try await pid("a")
        #expect(try await pid("b") == first)
        kill(pid_t(first), SIGKILL)
        let second = try await pid("c")
        #expect(second != first)
        #expect(try await pid("d") == second)
        await runner.shutdown()
        #expect(!isAlive(second))
      }
    }
  }

  @Test("A job in which the process dies fails, the next one gets a new process")
  func death() async throws {
    try await withTemporaryFolder { folder in
      let text = "if [ -e \"$job/die\" ]; then echo dying >&2; kill -SEGV $$; fi; \(Self.good)"
      let program = TrainerProgram(command: try residentScript(text, in: folder), resident: true)
      try await withRunner(program) { runner in
        let job = try Jobs.folder(.train, in: folder)
        try Data().write(to: URL(filePath: "\(job.path)/die"))
        let error = await failure { _ = try await runner.run(Jobs.job(.train), in: job.path) }
        #expect(error == .signalled(SIGSEGV, log: ["dying"]))
        try FileManager.default.removeItem(atPath: "\(job.path)/die")
        _ = try await runner.run(Jobs.job(.train), in: job.path)
      }
    }
  }

  @Test("A process that answers with an error ends, and the next job has a new one")
  func answers() async throws {
    try await withTemporaryFolder { folder in
      let answer = #"while read -r line; do job="${line#*:\"}"; job="${job%\"*}"; echo "{\"done\":\"$job\",\"exit\":1}"; done"#
      try await withRunner(TrainerProgram(command: try script("echo $$ >&2; \(answer)", in: folder), resident: true)) { runner in
        let job = try Jobs.folder(.evaluate, in: folder)
        guard case .failed(exit: 1, let log) = await failure({ _ = try await runner.run(Jobs.job(.evaluate), in: job.path) }) else {
          Issue.record("the job did not fail")
          return
        }
        // The script prints its process id when it starts.
        #expect(log.count == 1)
        let again = await failure { _ = try await runner.run(Jobs.job(.evaluate), in: job.path) }
        guard case .failed(exit: 1, let next) = again else {
          Issue.record("the second job: \(String(describing: again))")
          return
        }
        #expect(next.count == 1 && next != log)
      }
    }
  }

  @Test("A process whose code was corrected is started again: its script, its module, and a module beside that")
  func corrected() async throws {
    try await withTemporaryFolder { folder in
      try FileManager.default.createDirectory(atPath: "\(folder)/package", withIntermediateDirectories: true)
      try FileManager.default.createDirectory(atPath: "\(folder)/app/inner", withIntermediateDirectories: true)
      for name in [
        "other.py", "helper.py", "package/__init__.py", "package/layers.py", "notes.txt", "app/pyproject.toml", "app/inner/task.py",
      ] {
        try Data("1".utf8).write(to: URL(filePath: "\(folder)/\(name)"))
      }
      var program = TrainerProgram(command: try residentScript(Self.good, in: folder), resident: true)
      program.command += ["\(folder)/other.py:train", "package.layers:run", "\(folder)/app"]
      program.folder = folder
      try await withRunner(program) { runner in
        func pid() async throws -> Double {
          try await runner.run(Jobs.job(.train), in: Jobs.folder(.train, in: folder).path).result.samples
        }
        var last = try await pid()
        #expect(try await pid() == last)
        try Data("22".utf8).write(to: URL(filePath: "\(folder)/notes.txt"))
        #expect(try await pid() == last, "not its code")
        for name in [
          program.command[1], "\(folder)/other.py", "\(folder)/helper.py", "\(folder)/package/__init__.py", "\(folder)/app/pyproject.toml",
          "\(folder)/app/inner/task.py",
        ] {
          let old = try Data(contentsOf: URL(filePath: name))
          try (old + Data("\n".utf8)).write(to: URL(filePath: name))
          let next = try await pid()
          #expect(next != last, "\(name)")
          last = next
        }
      }
    }
  }

  @Test("An idle process is stopped, and started for the next job")
  func idle() async throws {
    try await withTemporaryFolder { folder in
      let program = TrainerProgram(command: try residentScript(Self.good, in: folder), resident: true, idleSeconds: 0.05)
      try await withRunner(program) { runner in
        let job = try Jobs.folder(.train, in: folder)
        let first = Int(try await runner.run(Jobs.job(.train), in: job.path).result.samples)
        #expect(try await eventually { !isAlive(first) })
        #expect(Int(try await runner.run(Jobs.job(.train), in: job.path).result.samples) != first)
      }
    }
  }

  @Test("A cancelled job ends its process, the next job has a new one")
  func cancel() async throws {
    try await withTemporaryFolder { folder in
      let text = "if [ -e \"$job/wait\" ]; then echo $$ > \"$job/pid\"; sleep 100; fi; \(Self.good)"
      let program = TrainerProgram(command: try residentScript(text, in: folder), resident: true)
      try await withRunner(program) { runner in
        let job = try Jobs.folder(.train, in: folder)
        try Data().write(to: URL(filePath: "\(job.path)/wait"))
        let error = try await cancelling(when: { !MusterTrainersTests.text("\(job.path)/pid").isEmpty }) {
          _ = try await runner.run(Jobs.job(.train), in: job.path)
        }
        #expect(error == .cancelled)
        try FileManager.default.removeItem(atPath: "\(job.path)/wait")
        _ = try await runner.run(Jobs.job(.train), in: job.path)
      }
    }
  }

  @Test("A process that ends without an answer is a failure")
  func silent() async throws {
    try await withTemporaryFolder { folder in
      let program = TrainerProgram(command: try script("read -r line; exit 0", in: folder), resident: true)
      try await withRunner(program) { runner in
        let job = try Jobs.folder(.evaluate, in: folder)
        #expect(await failure { _ = try await runner.run(Jobs.job(.evaluate), in: job.path) } == .failed(exit: 1, log: []))
      }
    }
  }
}
