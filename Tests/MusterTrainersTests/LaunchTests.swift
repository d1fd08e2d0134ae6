import FoundationEssentials
import Glibc
import MusterTrainers
import Testing

/// Tests a trainer's limits through the built `muster-agent`.
@Suite(.timeLimit(.minutes(2))) struct LaunchTests {
  /// The output of a good trainer that first runs `text`.
  func log(_ text: String, user: String? = nil, _ change: (inout TrainerProgram) -> Void = { _ in }) async throws -> [String] {
    try await withTemporaryFolder { folder in
      let job = try Jobs.folder(.train, in: folder)
      if let user { try job.hand(to: user) }
      var program = TrainerProgram(command: try script("\(text)\n\(RunnerTests.good)", in: folder), user: user)
      change(&program)
      return try await withRunner(program, confined: true) { runner in try await runner.run(Jobs.job(.train), in: job.path).log }
    }
  }

  @Test("Limits hold in the trainer: memory, file size, open files, processor time, niceness, no core dumps")
  func limits() async throws {
    let log = try await log("nice; ulimit -d; ulimit -f; ulimit -n; ulimit -t; ulimit -c; grep NoNewPrivs /proc/self/status | tr '\\t' ' '")
    {
      $0.limits = TrainerLimits(memoryMiB: 500, fileMiB: 3, openFiles: 100, cpuSeconds: 50, nice: 12)
    }
    #expect(log == ["12", "512000", "6144", "100", "50", "0", "NoNewPrivs: 1"])
  }

  @Test("A trainer steps back without being told to, and memory is taken from it before the agent")
  func defaults() async throws {
    #expect(try await log("nice; cat /proc/self/oom_score_adj; ulimit -d") == ["10", "500", "unlimited"])
  }

  @Test("It is a session and group of its own, with a minimal environment and only the standard descriptors")
  func surroundings() async throws {
    setenv("MUSTER_BROKER_PASSWORD", "secret", 1)
    defer { unsetenv("MUSTER_BROKER_PASSWORD") }
    let log = try await log(
      "env; ls /proc/self/fd | tr '\\n' ' '; echo; read -r pid _ _ _ group session _ < /proc/self/stat; echo $pid $group $session")
    #expect(!log.contains { $0.contains("secret") || $0.hasPrefix("MUSTER_BROKER") })
    #expect(log.contains("0 1 2 3 ") || log.contains("0 1 2 3"))
    let numbers = try #require(log.last).split(separator: " ")
    #expect(Set(numbers).count == 1, "\(numbers)")
  }

  @Test("As another user it cannot reach what is the agent's, and cannot come back", .enabled(if: geteuid() == 0, "needs root"))
  func otherUser() async throws {
    try await withTemporaryFolder { folder in
      let secret = "\(folder)/journal.json"
      try Data("secret".utf8).write(to: URL(filePath: secret))
      chmod(secret, 0o600)
      let nobody = try #require(TrainerAccount("nobody"))
      let log = try await log(
        "id -u; id -G; echo $HOME; cat \(secret) || echo no; test -w \"$1/global.safetensors\" && echo writable", user: "nobody")
      #expect(log.contains("\(nobody.uid)") && log.contains("\(nobody.gid)") && log.contains(nobody.home))
      #expect(log.contains("no") && !log.contains("secret") && !log.contains("writable"))
    }
  }

  @Test("What cannot be started is named")
  func notStarted() async throws {
    func why(_ change: (inout TrainerProgram) -> Void) async throws -> String? {
      try await withTemporaryFolder { folder in
        let job = try Jobs.folder(.train, in: folder)
        var program = TrainerProgram(command: ["true"])
        change(&program)
        return try await withRunner(program, confined: true) { runner in
          await failure { _ = try await runner.run(Jobs.job(.train), in: job.path) }?.reason
        }
      }
    }
    #expect(
      try await why { $0.command = ["no-such-trainer"] } == "the trainer cannot be started: no-such-trainer: No such file or directory")
    #expect(try await why { $0.command = ["/etc/passwd"] } == "the trainer cannot be started: /etc/passwd: Permission denied")
    #expect(try await why { $0.user = "no-such-user" } == "the trainer cannot be started: there is no user \"no-such-user\"")
    let text = "\(FileManager.default.temporaryDirectory.path)/muster-not-a-program-\(getpid())"
    try Data("#!/no/such/interpreter\n".utf8).write(to: URL(filePath: text))
    chmod(text, 0o700)
    defer { unlink(text) }
    #expect(try await why { $0.command = [text] } == "the trainer cannot be started: \(text): No such file or directory")
  }

  @Test("A trainer whose agent is gone does not begin")
  func orphan() async throws {
    let launch = TrainerLaunch(limits: TrainerLimits(), user: nil, parent: 1, resident: false, command: ["echo", "begun"])
    try await withTemporaryFolder { folder in
      let job = try Jobs.folder(.train, in: folder)
      let program = TrainerProgram(command: ["muster-agent", "exec-trainer"] + launch.arguments)
      let error = try await withRunner(program) { runner in await failure { _ = try await runner.run(Jobs.job(.train), in: job.path) } }
      #expect(error == .failed(exit: 126, log: ["exec-trainer: cannot arrange to end with its parent: No such process"]))
    }
  }

  @Test("What a launcher is told reads back the same, and nothing else is taken")
  func flags() {
    let limits = TrainerLimits(memoryMiB: 500, fileMiB: 3, processes: 7, openFiles: 100, cpuSeconds: 50, nice: 12)
    let launch = TrainerLaunch(limits: limits, user: "nobody", parent: 12, resident: false, command: ["a", "--nice", "--", "b"])
    #expect(TrainerLaunch(arguments: launch.arguments) == launch)
    let least = TrainerLaunch(limits: TrainerLimits(nice: 0), user: nil, parent: 0, resident: false, command: ["a"])
    #expect(TrainerLaunch(arguments: least.arguments) == least)
    let wrong = [
      [], ["--"], ["a"], ["--nice", "20", "--", "a"], ["--nice", "-1", "--", "a"], ["--nice", "--", "a"], ["--nice"],
      ["--what", "1", "--", "a"],
      ["--memory-mib", "many", "--", "a"],
    ]
    for arguments in wrong { #expect(TrainerLaunch(arguments: arguments) == nil, "\(arguments)") }
  }

  @Test("A resident trainer gets its processor time anew for each job")
  func residentProcessorTime() async throws {
    try await withTemporaryFolder { folder in
      let spin = "if [ -e \"$job/spin\" ]; then while :; do :; done; fi; \(ResidentTests.good)"
      var program = TrainerProgram(command: try residentScript(spin, in: folder), resident: true)
      program.limits.cpuSeconds = 1
      let job = try Jobs.folder(.train, in: folder)
      try await withRunner(program, confined: true) { runner in
        _ = try await runner.run(Jobs.job(.train), in: job.path)
        try Data().write(to: URL(filePath: "\(job.path)/spin"))
        let error = await failure { _ = try await runner.run(Jobs.job(.train), in: job.path) }
        #expect(error == .signalled(SIGXCPU, log: []))
      }
    }
  }
}
