internal import Glibc
public import Logging
import MusterGround

/// Runs jobs in a trainer's process, one at a time; a resident process is kept for the next job.
///
/// One thread of its own holds the process: training never occupies the cooperative pool. The process is started with the first job,
/// started again when it died, stopped when it was idle for `idleSeconds` and on ``shutdown()``.
public final class TrainerRunner: Sendable {
  public let program: TrainerProgram
  private let launcher: [String]
  private let mailbox = TrainerMailbox()
  private let logger: Logger

  /// - Parameter launcher: a program that performs a ``TrainerLaunch`` and starts the trainer so, `["/proc/self/exe", "exec-trainer"]` in the
  ///   agent. Empty: without the kernel's limits, and as our own user.
  public init(_ program: TrainerProgram, launcher: [String] = [], logger: Logger) {
    self.program = program
    self.launcher = launcher
    self.logger = logger
  }

  deinit { mailbox.stop() }

  /// Runs one job to its end. Jobs wait for each other in the order of their calls.
  ///
  /// Cancelling the calling task cancels the job: SIGTERM, and after `graceSeconds` SIGKILL, to the process group.
  /// - Parameters:
  ///   - job: what ``JobFolder/prepare(_:global:state:)`` wrote into the folder.
  ///   - onProgress: called on the worker's thread, at most twenty times a second; it must not block.
  /// - Returns: a result that is complete: every file is there and no link, every number finite, an update's tensors those of the global
  ///   model.
  public func run(
    _ job: TrainerJobDescription, in folder: String, onProgress: @escaping @Sendable (TrainerProgress) -> Void = { _ in }
  ) async throws(TrainerError) -> TrainerOutcome {
    let id = mailbox.makeID()
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let request = TrainerRequest(id: id, job: job, folder: JobFolder(folder), onProgress: onProgress) {
          continuation.resume(returning: $0)
        }
        if mailbox.submit(request) { startWorker() }
      }
    } onCancel: {
      mailbox.cancel(id)
    }
    return try result.get()
  }

  /// Cancels what runs, stops the process and ends the thread. Later jobs are answered with `cancelled`.
  public func shutdown() async {
    mailbox.stop()
    await mailbox.ended()
  }

  private func startWorker() {
    let (program, launcher, mailbox, logger) = (program, launcher, mailbox, logger)
    do throws(ThreadError) {
      try Threads.start(stackBytes: 1 << 20) { TrainerWorker(program, launcher: launcher, mailbox: mailbox, logger: logger).run() }
    } catch {
      mailbox.stop()
      mailbox.workerEnded()
    }
  }
}
