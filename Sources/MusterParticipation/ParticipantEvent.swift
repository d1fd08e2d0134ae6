package import MusterSchema

extension Participant {
  /// What happens to a participant.
  package enum Event: Sendable {
    case coordinator(CoordinatorState)
    case descriptor(TaskDescriptor)
    case invitation(Invitation)
    /// The resource check's word, made anew before each invitation and whenever it changes.
    case readiness(TaskID, Readiness)
    /// A scout's standing with its order.
    case standing(TaskID, Standing)

    // The job in progress. Each says which one it belongs to.
    case progress(TaskID, RoundKey, fraction: Double, loss: Double?)
    /// What keeps the job from going on for now, while it is tried again: the model cannot be fetched, or the result not delivered. Nil: nothing
    /// any more.
    case hindered(TaskID, RoundKey, reason: String?)
    case finished(TaskID, RoundKey, JobResult)
    case failed(TaskID, RoundKey, reason: String)
    case delivered(TaskID, RoundKey)
    /// The ledger wants it no more: the round is closed, or the task is gone.
    case refused(TaskID, RoundKey, reason: String)
    /// The answer to an `ask`.
    case confirmed(TaskID, RoundKey)
    /// The coordinator does not know the task (any more).
    case forget(TaskID)
    /// See ``Machine/unstorable(_:reason:bare:)``.
    case unstorable(TaskID, reason: String)

    case connected
    case tick
  }

  /// What a participant wants done, after its records are durable.
  package enum Effect: Hashable, Sendable {
    /// - Parameter lasting: false for progress, which may be lost.
    case status(NodeStatus, lasting: Bool)
    case start(Job)
    /// Stop the trainer, drop the files.
    case cancel(TaskID, RoundKey, reason: String)
    case upload(Job)
    /// After a restart: is the job still wanted?
    case ask(Job)
    /// Say again that the node is there.
    case announce
    /// Hand the descriptor on (a region).
    case descriptor(TaskDescriptor)
    /// Check resources and policy for the task.
    case check(TaskID)
  }

  /// What must survive.
  package enum Record: Codable, Hashable, Sendable {
    case taken(Invitation)
    case ready(TaskID, RoundKey, JobResult)
    case delivered(TaskID, RoundKey)
    case dropped(TaskID, RoundKey)

    package var task: TaskID {
      switch self {
      case .taken(let invitation): invitation.task
      case .ready(let task, _, _), .delivered(let task, _), .dropped(let task, _): task
      }
    }
  }
}

/// What a trainer left behind, ready to be delivered.
package struct JobResult: Codable, Hashable, Sendable {
  /// The file to upload.
  package var file: String
  package var digest: Digest
  package var bytes: Int

  package init(file: String, digest: Digest, bytes: Int) {
    self.file = file
    self.digest = digest
    self.bytes = bytes
  }
}

/// One invitation, taken.
package struct Job: Hashable, Sendable {
  package enum Stage: Hashable, Sendable {
    /// Restored after a restart: not continued before the ledger said that it is still wanted.
    case asking
    /// Waits for its turn in the spread.
    case waiting(until: Instant)
    case training(progress: Double?, loss: Double?)
    case uploading
    case delivered
  }

  package var invitation: Invitation
  package var stage: Stage
  package var result: JobResult?
  /// What keeps it from going on for now.
  package var hindrance: String?

  package var task: TaskID { invitation.task }
  package var key: RoundKey { invitation.key }
  /// An attempt is not part of what a job is: the same round's work goes on through attempts.
  package func isSameWork(as other: RoundKey) -> Bool { key.round == other.round && key.phase == other.phase }
}
