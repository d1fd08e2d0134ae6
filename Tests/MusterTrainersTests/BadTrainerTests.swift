import FoundationEssentials
import Glibc
import MusterSchema
import MusterTensors
import MusterTrainers
import Testing

/// Faulty trainers as shell scripts: each may only fail its own job.
@Suite(.timeLimit(.minutes(2))) struct BadTrainerTests {
  /// Runs a training job with the script `text`, then a good job with the same runner, and returns the error of the first.
  ///
  /// - Parameters:
  ///   - files: tensors to write into `$HOME`, beside the script.
  ///   - goesOn: whether the runner must do the second job.
  func error(
    _ text: String, files: [String: [Tensor]] = [:], user: String? = nil, goesOn: Bool = true,
    _ change: (inout TrainerProgram) -> Void = { _ in }
  ) async throws -> TrainerError? {
    try await withTemporaryFolder { folder in
      for (name, tensors) in files { try SafetensorsWriter.write(tensors, to: "\(folder)/\(name)") }
      // From the second job on, the script is a good trainer.
      let command = try script("if [ -e \"$HOME/good\" ]; then \(RunnerTests.good); exit 0; fi\n\(text)\n", in: folder)
      var program = TrainerProgram(command: command, environment: ["HOME": folder], graceSeconds: 0.2, user: user)
      change(&program)
      return try await withRunner(program, confined: true) { runner in
        let account = user.flatMap { TrainerAccount($0) }
        func run(_ name: String) async throws -> TrainerError? {
          let job = try Jobs.folder(.train, in: folder, name)
          if let user { try job.hand(to: user) }
          return await failure { _ = try await runner.run(Jobs.job(.train), in: job.path) }
        }
        let error = try await run("bad")
        if let account { #expect(try await eventually { processes(of: account.uid) == 0 }, "nothing of it is left") }
        try Data().write(to: URL(filePath: "\(folder)/good"))
        if goesOn { #expect(try await run("second") == nil, "the next job is done") }
        return error
      }
    }
  }

  @Test("One that crashes: its exit status and last line")
  func crash() async throws {
    let error = try await error("echo 'KeyError: conv1' >&2; exit 1")
    #expect(error?.description == "the trainer failed with exit status 1: KeyError: conv1")
  }

  @Test("One that aborts in native code: the signal")
  func abort() async throws {
    #expect(try await error("kill -ABRT $$")?.description == "the trainer was killed by signal 6 (SIGABRT)")
    #expect(try await error("kill -SEGV $$")?.reason == "the trainer was killed by signal 11 (SIGSEGV)")
  }

  @Test("One that hangs, and ignores that it is asked to stop")
  func hang() async throws {
    let start = ContinuousClock.now
    let error = try await error("trap '' TERM; echo waiting; while :; do sleep 100; done") { $0.timeoutSeconds = 0.3 }
    #expect(error == .timedOut(seconds: 0.3, log: ["waiting"]))
    #expect(ContinuousClock.now - start < .seconds(20))
  }

  @Test("One whose numbers are not finite")
  func nan() async throws {
    let files = ["nan": [try Tensor(name: "w", shape: [2], floats: [1, .nan])]]
    for (number, place) in [("NaN", "b"), ("-Infinity", "b"), ("1e400", nil)] as [(String, String?)] {
      let said = try await error(
        "\(RunnerTests.good); echo '{\"samples\":1,\"metrics\":{\"a\":1,\"b\":\(number),\"c\":2}}' > \"$1/metrics.json\"", files: files)
      if let place { #expect(said?.reason == "the trainer's result is refused: the metric \(place) is not a finite number") }
      #expect(said != nil)
    }
    let nan = try await error("\(RunnerTests.good); cp ~/nan \"$1/update.safetensors\"", files: files)
    #expect(nan?.reason == "the trainer's result is refused: tensor w is not finite")
    let metrics = try await error("\(RunnerTests.good); echo '{\"samples\":1e999,\"metrics\":{}}' > \"$1/metrics.json\"")
    #expect(metrics?.reason.hasPrefix("the trainer's result") == true)
  }

  @Test("One whose tensors are not the model's: shape, name, dtype, number")
  func tensors() async throws {
    let files = [
      "shape": [try Tensor(name: "w", shape: [1, 2], floats: [1, 2])], "name": [try Tensor(name: "v", shape: [2], floats: [1, 2])],
      "dtype": [try Tensor(name: "w", dtype: .i32, shape: [2], data: [UInt8](repeating: 0, count: 8))],
      "more": [try Tensor(name: "w", shape: [2], floats: [1, 2]), try Tensor(name: "v", shape: [1], floats: [1])],
    ]
    let expected = [
      "shape": "wrong shape of \"w\": expected [2], got [1, 2]", "name": "missing tensor \"w\"",
      "dtype": "wrong dtype of \"w\": expected F32, got I32", "more": "unknown tensor \"v\"",
    ]
    for (name, why) in expected {
      let error = try await error("\(RunnerTests.good); cp ~/\(name) \"$1/update.safetensors\"", files: files)
      #expect(error?.reason == "the trainer's result is not valid: update.safetensors: \(why)")
    }
  }

  @Test("One that prints ten gigabytes")
  func flood() async throws {
    let error = try await error("echo begun >&2; yes 'a line like any other' | head -c 10G") { $0.limits.outputMiB = 16 }
    #expect(error?.reason == "the trainer printed more than 16 MiB")
    #expect((error?.log.count ?? 0) <= 51)
  }

  @Test("A fork bomb, under a limit of processes and as another user", .enabled(if: geteuid() == 0, "needs root"))
  func forkBomb() async throws {
    let error = try await error("bomb() { bomb | bomb & }; bomb; sleep 1; bomb; sleep 1; bomb; exit 1", user: "nobody") {
      $0.limits.processes = 40
      $0.timeoutSeconds = 5
    }
    switch error {
    case .failed, .signalled, .timedOut: break
    default: Issue.record("\(String(describing: error))")
    }
  }

  private func processes(of user: UInt32) -> Int {
    // A process that has ended stays in /proc until its new parent has waited for it.
    ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).count { name in
      Int(name) != nil && text("/proc/\(name)/status").contains("\nUid:\t\(user)\t")
    }
  }

  @Test("One that leaves a process behind in a session of its own: that ends, too")
  func escape() async throws {
    try await withTemporaryFolder { folder in
      let job = try Jobs.folder(.train, in: folder)
      let text = "setsid sleep 1000 </dev/null >/dev/null 2>&1 &\necho $! > \"$1/escaped\"; \(RunnerTests.good)"
      try await withRunner(TrainerProgram(command: try script(text, in: folder)), confined: true) { runner in
        _ = try await runner.run(Jobs.job(.train), in: job.path)
        let pid = try #require(Int(MusterTrainersTests.text("\(job.path)/escaped").split(separator: "\n").first ?? ""))
        #expect(try await eventually { !isAlive(pid) })
      }
    }
  }

  @Test("One that writes its metrics first, and then dies, ends too early, or goes on for ever")
  func metricsFirst() async throws {
    let metrics = #"echo '{"samples":3,"metrics":{}}' > "$1/metrics.json""#
    #expect(try await error("\(metrics); exit 9") == .failed(exit: 9, log: []))
    #expect(try await error("\(metrics); exit 0")?.reason == "the trainer succeeded but wrote no update.safetensors")
    let half = try await error("\(metrics); head -c 20 \"$1/global.safetensors\" > \"$1/update.safetensors\"")
    #expect(half?.reason.hasPrefix("the trainer's result is not valid") == true)
    #expect(try await error("\(metrics); sleep 100") { $0.timeoutSeconds = 0.2 } == .timedOut(seconds: 0.2, log: []))
  }

  @Test("One that says all is well and leaves nothing")
  func nothing() async throws {
    #expect(try await error("exit 0")?.reason == "the trainer succeeded but wrote no metrics.json")
  }

  @Test("One that leads out of its folder with links, or leaves a pipe in place of a file")
  func links() async throws {
    let files = ["elsewhere": [try Tensor(name: "w", shape: [2], floats: [8, 9])]]
    let update = try await error("\(RunnerTests.good); ln -sf ~/elsewhere \"$1/update.safetensors\"", files: files)
    #expect(update?.reason == "the trainer's result is not valid: update.safetensors is a link, but must be a regular file")
    let metrics = try await error("\(RunnerTests.good); mv \"$1/metrics.json\" ~/m; ln -s ~/m \"$1/metrics.json\"")
    #expect(metrics?.reason == "the trainer's result is not valid: metrics.json is a link, but must be a regular file")
    let pipe = try await error("\(RunnerTests.good); rm \"$1/metrics.json\"; mkfifo \"$1/metrics.json\"")
    #expect(pipe?.reason == "the trainer's result is not valid: metrics.json is not a regular file")
    let folder = try await error("\(RunnerTests.good); rm \"$1/update.safetensors\"; mkdir \"$1/update.safetensors\"")
    #expect(folder?.reason == "the trainer's result is not valid: update.safetensors is not a regular file")
  }

  @Test("One that changes the global model that it is compared with")
  func changedBase() async throws {
    let files = ["other": [try Tensor(name: "v", shape: [1], floats: [1])]]
    let text = "rm \"$1/global.safetensors\"; cp ~/other \"$1/global.safetensors\"; \(RunnerTests.good)"
    #expect(
      try await error(text, files: files)?.reason == "the trainer's result is not valid: update.safetensors: missing tensor \"w\"")
  }

  @Test("One that fills the disk: with one file, with many, beside what stays between rounds")
  func disk() async throws {
    let file = try await error("head -c 100M /dev/zero > \"$1/big\"; exit 1") { $0.limits.fileMiB = 1 }
    #expect(
      file?.reason == "the trainer was killed by signal 25 (SIGXFSZ), because a file grew beyond its limit"
        || file == .failed(exit: 1, log: file?.log ?? []))
    let many = try await error(
      "i=0; while :; do i=$((i+1)); head -c 1M /dev/zero > \"$1/state/$i\"; sleep 0.01; done"
    ) { $0.limits.diskMiB = 3 }
    #expect(many?.reason == "the trainer stored more than 3 MiB in its folders")
    let full = try await error("sleep 100", goesOn: false) { $0.limits.freeMiB = 1 << 30 }
    #expect(full?.reason.hasPrefix("the trainer filled the disk") == true)
  }

  @Test("One that wants all memory, and one that wants all of the processor")
  func memoryAndProcessor() async throws {
    let memory = try await error("tail /dev/zero") { $0.limits.memoryMiB = 100 }
    #expect(memory?.description == "the trainer failed with exit status 1: tail: memory exhausted")
    let processor = try await error("while :; do :; done") { $0.limits.cpuSeconds = 1 }
    #expect(processor?.reason == "the trainer was killed by signal 24 (SIGXCPU), because its processor time was used up")
  }
}
