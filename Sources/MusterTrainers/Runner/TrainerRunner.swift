internal import Glibc
public import Logging
import MusterGround

/// Runs jobs in a trainer's process, one at a time. A resident process is kept for the next job.
///
/// A thread of its own handles the process, so training never occupies the cooperative pool. A resident process is started with the first
/// job. It is stopped after a failed job, after `idleSeconds` without a job, when its code has changed, and by ``shutdown()``; the next job
/// starts it again.
public final class TrainerRunner: Sendable {
  /// The program that runs the jobs.
  public let program: TrainerProgram
  private let launcher: [String]
  private let mailbox = TrainerMailbox()
  private let logger: Logger

  /// Makes a runner; the process starts with the first job.
  ///
  /// - Parameter launcher: a program that performs a ``TrainerLaunch``, such as `["/proc/self/exe", "exec-trainer"]` in the agent. Without
  ///   one, the trainer has no kernel limits and runs as our own user.
  public init(_ program: TrainerProgram, launcher: [String] = [], logger: Logger) {
    self.program = program
    self.launcher = launcher
    self.logger = logger
  }

  deinit { mailbox.stop() }

  /// Runs one job to its end. Jobs run in the order of the calls.
  ///
  /// Cancelling the calling task cancels the job: the process group gets SIGTERM, and SIGKILL after `graceSeconds`.
  ///
  /// - Parameters:
  ///   - job: the description that ``JobFolder/prepare(_:global:sharing:step:state:)`` wrote into the folder.
  ///   - folder: path of the job folder.
  ///   - onProgress: called on the worker's thread, at most twenty times a second. It must not block.
  /// - Returns: a complete result: all files are there and are not links, all numbers are finite, an update has the global model's tensors.
  /// - Throws: `TrainerError`.
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

  /// Cancels the running job, stops the process and ends the thread. Later jobs fail with `cancelled`.
  public func shutdown() async {
    mailbox.stop()
    await mailbox.ended()
  }

  private func startWorker() {
    let (program, launcher, mailbox, logger) = (program, launcher, mailbox, logger)
    do throws(ThreadError) {
      try Threads.start(named: "muster-trainer", stackBytes: 1 << 20) {
        TrainerWorker(program, launcher: launcher, mailbox: mailbox, logger: logger).run()
      }
    } catch {
      mailbox.stop()
      mailbox.workerEnded()
    }
  }
}
