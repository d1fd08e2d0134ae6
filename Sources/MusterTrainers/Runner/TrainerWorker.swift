internal import FoundationEssentials
internal import Glibc
internal import Logging
import MusterGround
internal import MusterSchema
internal import MusterTensors

/// The thread that handles a trainer's process: it starts the process, gives it jobs, reads its output and ends it. Everything here runs on
/// that one thread and is reached only through the mailbox.
final class TrainerWorker {
  private let program: TrainerProgram
  private let launcher: [String]
  private let mailbox: TrainerMailbox
  private var logger: Logger
  private var child: ChildProcess?
  /// The files of the resident process when it was started.
  private var sources: TrainerSources?
  private var idleSince = ContinuousClock.now
  private var buffer = [UInt8](repeating: 0, count: 65536)

  init(_ program: TrainerProgram, launcher: [String], mailbox: TrainerMailbox, logger: Logger) {
    self.program = program
    self.launcher = launcher
    self.mailbox = mailbox
    self.logger = logger
    self.logger[metadataKey: "trainer.program"] = "\(program.command.first ?? "")"
  }

  func run() {
    // If the trainer dies while we write to it, the write should fail rather than end this process with SIGPIPE.
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGPIPE)
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    while true {
      switch mailbox.next() {
      case .run(let request):
        let result = perform(request)
        mailbox.finished(request.id)
        idleSince = .now
        request.finish(result)
        // The trainer's code may be corrected before the next job, and its memory may be in a bad state after the failure.
        if case .failure = result { stopChild() }
      case .wait: waitIdle()
      case .stop:
        stopChild()
        mailbox.workerEnded()
        return
      }
    }
  }

  // MARK: Between jobs

  private func waitIdle() {
    guard let child else { return poll(nil, until: nil) }
    let end = idleSince + .seconds(program.idleSeconds)
    // Output between jobs is read so that the trainer does not block, and dropped.
    poll(child, until: end) { _, _ in }
    if child.reap() != nil {
      logger.info("the resident trainer ended while idle")
      self.child = nil
    } else if ContinuousClock.now >= end {
      stopChild()
    }
  }

  private func stopChild() {
    guard let child else { return }
    child.closeInput()
    child.signal(SIGTERM)
    let end = ContinuousClock.now + .seconds(program.graceSeconds)
    while child.reap() == nil {
      if ContinuousClock.now >= end { child.signal(SIGKILL) }
      poll(child, until: .now + .milliseconds(20), wakes: false) { _, _ in }
    }
    self.child = nil
  }

  // MARK: One job

  private func perform(_ request: TrainerRequest) -> Result<TrainerOutcome, TrainerError> {
    let start = ContinuousClock.now
    for leftover in [request.folder.metrics, request.folder.result(of: request.job.job)] { if let leftover { unlink(leftover) } }
    var reader = OutputReader(folder: request.folder.path, onProgress: request.onProgress)
    let exit: Int32
    let base: TensorSchema?
    do throws(TrainerError) {
      // Read before the trainer can change the file.
      base = try request.job.job == .train ? readSchema(request.folder.global) : nil
      let child = try startChild(for: request.folder)
      exit = try follow(child, request, from: start, &reader)
    } catch {
      return .failure(error)
    }
    if mailbox.isCancelled(request.id) { return .failure(.cancelled) }
    guard exit == 0 else { return .failure(failure(exit, reader.log)) }
    do throws(TrainerError) {
      let taker = ResultTaker(
        kind: request.job.job, folder: request.folder, base: base, owner: try owner(), log: reader.log)
      let (metrics, parameters) = try taker.take()
      return .success(TrainerOutcome(result: metrics, parameters: parameters, duration: .now - start, log: reader.log))
    } catch {
      return .failure(error)
    }
  }

  /// The user whose files may be a result; `nil` if the trainer runs as our own user.
  private func owner() throws(TrainerError) -> UInt32? {
    guard let user = program.user else { return nil }
    guard let account = TrainerAccount(user) else { throw .notStarted("there is no user \"\(user.withoutControlCharacters)\"") }
    return account.uid
  }

  private func failure(_ exit: Int32, _ log: [String]) -> TrainerError {
    if exit == TrainerLaunch.failed, !launcher.isEmpty, let last = log.last, last.hasPrefix(TrainerLaunch.mark) {
      return .notStarted(String(last.dropFirst(TrainerLaunch.mark.count)))
    }
    return .failed(exit: exit, log: log)
  }

  private func startChild(for folder: JobFolder) throws(TrainerError) -> ChildProcess {
    guard program.resident else {
      let child = try spawn(program.command + [folder.path])
      child.closeInput()
      return child
    }
    let line: String
    do { line = String(decoding: try JSON.encode(["job": folder.path]), as: UTF8.self) } catch { throw .jobFolder("\(error)") }
    let current = TrainerSources(program)
    if child != nil, current != sources {
      logger.info("the resident trainer is restarted, because its files have changed")
      stopChild()
    }
    if let child, child.reap() == nil {
      if let seconds = program.limits.cpuSeconds { child.grant(processorSeconds: seconds) }
      if child.send(line) { return child }
    }
    child = nil
    let fresh = try spawn(program.command)
    if let seconds = program.limits.cpuSeconds { fresh.grant(processorSeconds: seconds) }
    guard fresh.send(line) else { throw .notStarted("it does not read its standard input") }
    child = fresh
    sources = current
    return fresh
  }

  private func spawn(_ command: [String]) throws(TrainerError) -> ChildProcess {
    let own = ProcessInfo.processInfo.environment
    var environment = ["PATH": own["PATH"] ?? "/usr/local/bin:/usr/bin:/bin", "LANG": own["LANG"] ?? "C.UTF-8"]
    environment["HOME"] = HomeFolder.path(environment: own)
    if let user = program.user {
      guard let account = TrainerAccount(user) else { throw .notStarted("there is no user \"\(user.withoutControlCharacters)\"") }
      environment["HOME"] = account.home
      environment["USER"] = user
    }
    for library in ["OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB"] { environment["\(library)_NUM_THREADS"] = String(program.threads) }
    environment.merge(program.environment) { _, given in given }
    var command = command
    if !launcher.isEmpty {
      // Looked up here, so that an error about a missing program names it at once.
      command[0] = try ChildProcess.find(command.first ?? "", path: environment["PATH"] ?? "", folder: program.folder)
      let launch = TrainerLaunch(
        limits: program.limits, user: program.user, parent: getpid(), resident: program.resident, command: command)
      command = launcher + launch.arguments
    }
    let child = try ChildProcess(command: command, environment: environment, folder: program.folder)
    logger.debug("trainer started", metadata: ["trainer.pid": "\(child.pid)"])
    return child
  }

  /// Reads output until the job is over, and returns its exit status.
  private func follow(
    _ child: ChildProcess, _ request: TrainerRequest, from start: ContinuousClock.Instant, _ reader: inout OutputReader
  ) throws(TrainerError) -> Int32 {
    let deadline = program.timeoutSeconds.map { start + .seconds($0) }
    var guardian = ResourceGuard(program.limits, request.folder)
    var ending: (error: TrainerError, killAt: ContinuousClock.Instant)?
    var endedAt: ContinuousClock.Instant?
    while true {
      let status = child.reap()
      if status != nil, endedAt == nil { endedAt = .now }
      // Once the process has ended, only what is already in the pipes is read.
      let patience = status != nil ? .zero : child.output < 0 && child.errors < 0 ? Duration.milliseconds(1) : .milliseconds(100)
      let until = ContinuousClock.now + patience
      var got = false
      poll(child, until: min(until, ending?.killAt ?? until, deadline ?? until)) { bytes, isError in
        got = true
        // When the trainer is being ended, output beyond the limit is dropped.
        guard ending == nil || reader.bytes <= guardian.outputBytes else { return }
        if isError { reader.readErrors(bytes) } else { reader.readOutput(bytes) }
      }
      if let exit = reader.done, program.resident, ending == nil { return exit }
      // A grandchild that left the process group and still writes is not waited for, either.
      if let status, let endedAt, !got || endedAt < .now - .seconds(1) {
        reader.finish()
        if program.resident { self.child = nil }
        child.closeAll()
        if let ending { throw ending.error.with(log: reader.log) }
        switch status {
        // A resident trainer should not exit before it answers.
        case .exited(let exit): return program.resident && exit == 0 ? 1 : exit
        case .signalled(let signal): throw .signalled(signal, log: reader.log)
        }
      }
      let now = ContinuousClock.now
      if let killAt = ending?.killAt {
        if now >= killAt { child.signal(SIGKILL) }
      } else if mailbox.isCancelled(request.id) {
        ending = (.cancelled, now + .seconds(program.graceSeconds))
        child.signal(SIGTERM)
      } else if let deadline, now >= deadline {
        ending = (.timedOut(seconds: program.timeoutSeconds ?? 0, log: []), now + .seconds(program.graceSeconds))
        child.signal(SIGTERM)
      } else if let excess = guardian.excess(output: reader.bytes, at: now) {
        // The trainer fills up a resource, so it gets no grace time.
        ending = (.overLimit(excess, log: []), now)
        child.signal(SIGKILL)
      }
    }
  }

  // MARK: Waiting

  /// Waits for output of the child or a wake-up, reads what is available, and closes pipes that have ended.
  private func poll(
    _ child: ChildProcess?, until end: ContinuousClock.Instant?, wakes: Bool = true, _ body: (ArraySlice<UInt8>, Bool) -> Void = { _, _ in }
  ) {
    let wake = wakes ? mailbox.waker?.descriptor ?? -1 : -1
    // poll(2) ignores negative descriptors.
    var descriptors = [wake, child?.output ?? -1, child?.errors ?? -1].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    var milliseconds: Int32 = mailbox.waker == nil ? 100 : -1
    if let end {
      let left = max(.zero, end - .now)
      // Rounded up, because rounding down would spin through the last millisecond.
      milliseconds = left > .seconds(3600) ? 3_600_000 : Int32((left / .milliseconds(1)).rounded(.up))
    }
    guard Glibc.poll(&descriptors, nfds_t(descriptors.count), milliseconds) > 0 else { return }
    if descriptors[0].revents != 0 { mailbox.waker?.clear() }
    guard let child else { return }
    if descriptors[1].revents != 0, !read(child.output, { body($0, false) }) { child.closeOutput() }
    if descriptors[2].revents != 0, !read(child.errors, { body($0, true) }) { child.closeErrors() }
  }

  /// Reads once. Returns `false` at the end of the stream.
  private func read(_ descriptor: Int32, _ body: (ArraySlice<UInt8>) -> Void) -> Bool {
    let count = Glibc.read(descriptor, &buffer, buffer.count)
    if count > 0 { body(buffer[..<count]) }
    return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR))
  }
}
