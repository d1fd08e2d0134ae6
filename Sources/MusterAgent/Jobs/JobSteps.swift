import MusterGround
import MusterParticipation
import MusterSchema
import Synchronization

/// The means to stop a step that is under way, and to cut its pauses short.
final class StepControl: Sendable {
  /// Rung when the step is no longer wanted.
  let stop = Bell()
  /// Rung when the server may be reachable again.
  let hurry = Bell()
}

/// The agent's ``JobQueue``. The shell places steps, and the worker takes them.
final class JobSteps: Sendable {
  private let state = Mutex<(queue: JobQueue, control: StepControl)>((JobQueue(), StepControl()))
  private let bell = Bell()

  /// Places a step. If the same step is under way already, its pause is cut short instead.
  func place(_ kind: JobQueue.Kind, _ job: Job) {
    let (placement, control) = state.withLock { ($0.queue.place(JobQueue.Step(kind, job)), $0.control) }
    switch placement {
    case .waits: bell.ring()
    case .hurries: control.hurry.ring()
    }
  }

  /// - Returns: whether a step of the job is under way. It is told to stop and ends soon.
  func cancel(_ task: TaskID, _ key: RoundKey) -> Bool {
    let (isUnderWay, control) = state.withLock { ($0.queue.cancel(task, key), $0.control) }
    if isUnderWay { control.stop.ring() }
    return isUnderWay
  }

  /// Ends the previous step and waits for the next one; `nil` when the task is cancelled.
  func next() async -> (step: JobQueue.Step, control: StepControl)? {
    state.withLock { $0.queue.end() }
    while !Task.isCancelled {
      let next = state.withLock { state -> (JobQueue.Step, StepControl)? in
        guard let step = state.queue.take() else { return nil }
        state.control = StepControl()
        return (step, state.control)
      }
      if let next { return next }
      await bell.wait()
    }
    return nil
  }
}
