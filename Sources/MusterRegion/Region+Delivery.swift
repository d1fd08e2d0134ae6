import Logging
import MusterCoordination
import MusterDataPlane
import MusterRuntime
import MusterSchema
import MusterStorage
import MusterTransfer

// A region that aggregates: the ledger of its devices, and a participant that delivers.
extension Region {
  var ledger: CoordinatorLedger {
    CoordinatorLedger(
      machine: { await self.shell.machine.coordinator }, replies: performer.replies, post: { self.shell.mailbox.offer(.below($0)) },
      grant: { run, path in run.grant(of: path) }, maximumBytes: configuration.maximumBytes)
  }

  /// Makes one contribution of a frozen set. A result is not lost to a full disk: it is handed over until it is durable.
  func combine(_ order: RegionOrder) async {
    let work = RegionWork(store: store, models: models, logger: logger) { await self.shell.mailbox.post(.below($0)) }
    guard let event = await work.perform(order) else { return }
    while !Task.isCancelled {
      if case .committed = await shell.mailbox.submit(event) { return }
      logger.warning("what the devices' contributions were combined to is not stored yet: it is tried again")
      do { try await Task.sleep(for: .seconds(1)) } catch { return }
    }
  }

  /// Sends the region's own contribution until the ledger above has it, or does not want it.
  func deliver(_ first: Job) async {
    var attempt = 1
    var generator = SystemRandomNumberGenerator()
    let policy = RetryPolicy(attempts: .max, cap: .seconds(2))
    while !Task.isCancelled, let job = await wanted(first), let result = job.result {
      guard let file = store.path(of: result.digest) else {
        return await shell.mailbox.post(.above(.failed(job.task, job.key, reason: "the region's result is gone from its disk")))
      }
      do throws(TransferError) {
        // An earlier process may have sent a part of it.
        try await client.upload(
          ResumableUpload(
            UploadSource(file: file), to: job.invitation.upload, ticket: job.invitation.ticket, digest: result.digest,
            contentType: job.key.phase == .train ? "application/octet-stream" : "application/json", resumes: true))
        return await shell.mailbox.post(.above(.delivered(job.task, job.key)))
      } catch {
        let detail = error.problem.map { "\($0)" } ?? "\(error)"
        switch error.status {
        // Ours already counts.
        case 409: return await shell.mailbox.post(.above(.delivered(job.task, job.key)))
        case 404, 410: return await shell.mailbox.post(.above(.refused(job.task, job.key, reason: detail)))
        default: break
        }
        let passing = (500...599).contains(error.status ?? 0) ? TransferError.timedOut(host: "") : error
        guard let pause = policy.pause(after: passing, attempt: attempt, using: &generator) else {
          return await shell.mailbox.post(.above(.failed(job.task, job.key, reason: detail)))
        }
        logger.info("the region's contribution waits: \(error)", metadata: ["task.id": "\(job.task)", "round": "\(job.key.round)"])
        attempt += 1
        do { try await Task.sleep(for: pause) } catch { return }
      }
    }
  }

  /// The job as it stands now; nil when it is done with.
  private func wanted(_ job: Job) async -> Job? {
    await shell.machine.participant.jobs[job.task].flatMap { $0.isSameWork(as: job.key) && $0.stage == .uploading ? $0 : nil }
  }

  /// What the region itself knows of a task: its devices' contributions when it aggregates.
  func task(_ id: TaskID) async throws(Problem) -> RegionTask {
    let machine = await shell.machine.coordinator
    guard let run = machine.tasks[id], let now = machine.roundState(id) else {
      throw Problem(.unknownTask, "region \(self.id) has no task \(id)")
    }
    return RegionTask(descriptor: run.descriptor, now: now, rounds: run.records, traffic: topics.meter.traffic(of: id))
  }
}
