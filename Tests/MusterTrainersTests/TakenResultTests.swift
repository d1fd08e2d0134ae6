import FoundationEssentials
import Glibc
import MusterGround
import MusterTensors
import Synchronization
import Testing

@testable import MusterTrainers

/// A trainer's changes to its files after it reported success must have no effect.
@Suite(.timeLimit(.minutes(2))) struct TakenResultTests {
  @Test("A trainer that truncates its update after it is done harms nobody who has it mapped")
  func truncation() async throws {
    try await withTemporaryFolder { folder in
      // A second name of the same file, which a process left behind could hold.
      let text = "\(RunnerTests.good); ln \"$1/update.safetensors\" ~/kept; ln \"$1/metrics.json\" ~/metrics"
      let program = TrainerProgram(command: try script(text, in: folder), environment: ["HOME": folder])
      try await withRunner(program) { runner in
        let job = try Jobs.folder(.train, in: folder)
        let outcome = try await runner.run(Jobs.job(.train), in: job.path)
        let path = try #require(outcome.parameters)
        let update = try SafetensorsFile(path: path)
        truncate("\(folder)/kept", 0)
        truncate("\(folder)/metrics", 0)
        // Reading a mapped page beyond the end of a file raises SIGBUS.
        #expect(try update.floats(of: "w") == [1, 2])
        #expect(outcome.result.samples == 3)
        let status = try #require(look(at: path))
        #expect(status.st_nlink == 1 && status.st_mode & 0o777 == 0o600)
        #expect(!path.hasPrefix("\(job.path)/"), "it lies outside of the trainer's folder")
      }
    }
  }

  @Test("A result with holes, or one larger than the model allows, is not copied")
  func sparse() async throws {
    try await withTemporaryFolder { folder in
      let text = "\(RunnerTests.good); truncate -s 100G \"$1/update.safetensors\""
      let program = TrainerProgram(command: try script(text, in: folder))
      try await withRunner(program) { runner in
        let job = try Jobs.folder(.train, in: folder)
        let error = await failure { _ = try await runner.run(Jobs.job(.train), in: job.path) }
        #expect(error?.reason.contains("update.safetensors has 107374182400 bytes, but at most") == true, "\(String(describing: error))")
      }
    }
  }

  @Test("A hard link to a file of another user is no result", .enabled(if: geteuid() == 0, "needs root"))
  func foreign() async throws {
    try await withTemporaryFolder { folder in
      chmod(folder, 0o755)
      let job = try Jobs.folder(.train, in: folder)
      try job.hand(to: "nobody")
      let text = "cp $1/global.safetensors $1/update.safetensors; while [ ! -e $1/metrics.json ]; do sleep 0.01; done"
      let program = TrainerProgram(command: try script(text, in: folder), user: "nobody")
      try await withRunner(program, confined: true) { runner in
        let secret = "\(folder)/secret"
        try Data(#"{"samples":3,"metrics":{}}"#.utf8).write(to: URL(filePath: secret))
        // The runner removes such files before the job, so the link is made while the job runs, and the trainer waits for it.
        let isOver = Mutex(false)
        Thread.start {
          while !isOver.withLock(\.self) {
            link(secret, job.metrics)
            usleep(200)
          }
        }
        defer { isOver.withLock { $0 = true } }
        let error = await failure { _ = try await runner.run(Jobs.job(.train), in: job.path) }
        #expect(error?.reason == "the trainer's result is not valid: metrics.json belongs to a user other than the trainer's")
      }
    }
  }

  @Test("A folder that becomes a link while it is removed leads nowhere")
  func swapped() async throws {
    try await withTemporaryFolder { folder in
      let (job, precious) = ("\(folder)/job", "\(folder)/precious")
      mkdir(precious, 0o700)
      try Data([1]).write(to: URL(filePath: "\(precious)/file"))
      symlink(precious, "\(folder)/link")
      let isOver = Mutex(false)
      let ended = Mutex(false)
      Thread.start {
        // Keeps swapping the folder `inner` and a link to the folder that must survive.
        while !isOver.withLock(\.self) {
          rename("\(job)/inner", "\(job)/aside")
          link("\(folder)/link", "\(job)/inner")
          unlink("\(job)/inner")
          rename("\(job)/aside", "\(job)/inner")
        }
        ended.withLock { $0 = true }
      }
      for _ in 0..<2000 {
        mkdir(job, 0o700)
        mkdir("\(job)/inner", 0o700)
        for number in 0..<3 { close(open("\(job)/inner/\(number)", O_WRONLY | O_CREAT, 0o600)) }
        Files.remove(job)
        guard look(at: "\(precious)/file") != nil else { break }
      }
      isOver.withLock { $0 = true }
      #expect(try await eventually { ended.withLock(\.self) })
      #expect(look(at: "\(precious)/file") != nil, "it was reached through the link")
    }
  }

  @Test("Folders nested deeper than any path, and such that nobody may read, are removed")
  func deep() async throws {
    try await withTemporaryFolder { folder in
      let job = "\(folder)/job"
      mkdir(job, 0o700)
      var level = open(job, O_RDONLY | O_DIRECTORY)
      let name = String(repeating: "d", count: 50)
      for _ in 0..<1500 {
        #expect(mkdirat(level, name, 0o700) == 0)
        let next = openat(level, name, O_RDONLY | O_DIRECTORY)
        close(level)
        level = next
      }
      close(level)
      mkdir("\(job)/shut", 0o700)
      close(open("\(job)/shut/file", O_WRONLY | O_CREAT, 0o600))
      chmod("\(job)/shut", 0)
      #expect(Files.remove(job) == nil)
      #expect(look(at: job) == nil)
      #expect(Files.remove(job) == nil, "what is not there is fine")
    }
  }

  private func look(at path: String) -> stat? {
    var status = stat()
    return lstat(path, &status) == 0 ? status : nil
  }
}

/// A thread that is not joined.
private enum Thread {
  static func start(_ run: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { argument in
        if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
        return nil
      }, Unmanaged.passRetained(Body(run)).toOpaque())
    pthread_detach(thread)
  }

  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }
}
