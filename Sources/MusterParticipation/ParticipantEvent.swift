package import MusterSchema

extension Participant {
  /// An input of a participant.
  package enum Event: Sendable {
    case coordinator(CoordinatorState)
    case descriptor(TaskDescriptor)
    case invitation(Invitation)
    /// The result of the resource check, which runs before each invitation and whenever something that it depends on changes.
    case readiness(TaskID, Readiness)
    /// A scout's progress with its order.
    case standing(TaskID, Standing)

    // Events of the job in progress. Each names the job that it belongs to.
    case progress(TaskID, RoundKey, fraction: Double, loss: Double?)
    /// What currently holds the job up while it is retried, such as a model that cannot be fetched or a result that cannot be delivered;
    /// `nil` once nothing does.
    case hindered(TaskID, RoundKey, reason: String?)
    case finished(TaskID, RoundKey, JobResult)
    case failed(TaskID, RoundKey, reason: String)
    case delivered(TaskID, RoundKey)
    /// The ledger no longer wants the result: the round is closed, or the task is gone.
    case refused(TaskID, RoundKey, reason: String)
    /// The answer to an `ask`: the ledger still wants the job.
    case confirmed(TaskID, RoundKey)
    /// The coordinator does not know the task, or no longer does.
    case forget(TaskID)
    /// See ``Machine/unstorable(_:reason:bare:)``.
    case unstorable(TaskID, reason: String)

    case connected
    case tick
  }

  /// Something that a participant wants done once its records are durable.
  package enum Effect: Hashable, Sendable {
    /// - Parameter lasting: false for a status that may be lost, such as progress.
    case status(NodeStatus, lasting: Bool)
    case start(Job)
    /// Stop the trainer and delete the job's files.
    case cancel(TaskID, RoundKey, reason: String)
    case upload(Job)
    /// Ask the ledger whether it still wants the job, for example after a restart.
    case ask(Job)
    /// Publish the node's birth message again.
    case announce
    /// At a region: pass the descriptor on to its devices.
    case descriptor(TaskDescriptor)
    /// Check resources and policy for the task.
    case check(TaskID)
  }

  /// A change that must survive a restart.
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

/// The file with the result of a job, ready to be delivered.
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

/// An invitation that was accepted, with the progress of its work.
package struct Job: Hashable, Sendable {
  package enum Stage: Hashable, Sendable {
    /// Restored after a restart. The job does not continue until the ledger has said that it still wants it.
    case asking
    /// Waits for its random start time, which spreads the load of a large cohort.
    case waiting(until: Instant)
    case training(progress: Double?, loss: Double?)
    case uploading
    case delivered
  }

  package var invitation: Invitation
  package var stage: Stage
  package var result: JobResult?
  /// What currently holds the job up.
  package var hindrance: String?

  package var task: TaskID { invitation.task }
  package var key: RoundKey { invitation.key }
  /// Whether the key names the work of this job. The attempt does not matter, because the work of a round continues across attempts.
  package func isSameWork(as other: RoundKey) -> Bool { key.round == other.round && key.phase == other.phase }
}
