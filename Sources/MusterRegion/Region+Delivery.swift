import Logging
import MusterCoordination
import MusterDataPlane
import MusterParticipation
import MusterSchema
import MusterServer
import MusterShell
import MusterStorage
import MusterTransfer

// A region that aggregates is the ledger of its devices, and delivers one contribution to the ledger above.
extension Region {
  var ledger: CoordinatorLedger {
    CoordinatorLedger(server, replies: performer.replies) { run, path in run.grant(of: path) }
  }

  /// Sends the region's own contribution until the ledger above has it or refuses it.
  func deliver(_ delivery: Delivery) async {
    var attempt = 1
    var generator = SystemRandomNumberGenerator()
    let policy = RetryPolicy(attempts: .max, cap: .seconds(2))
    while !Task.isCancelled, let job = delivery.current(await shell.machine), let result = job.result {
      let error: TransferError
      switch await send(job, result) {
      case .success(let answer): return await shell.mailbox.post(delivery.event(for: answer))
      case .failure(let failure): error = failure
      }
      let passing = (500...599).contains(error.status ?? 0) ? TransferError.timedOut(host: "") : error
      guard let pause = policy.pause(after: passing, attempt: attempt, using: &generator) else {
        return await shell.mailbox.post(delivery.event(for: .refused(reason: error.problem.map { "\($0)" } ?? "\(error)")))
      }
      logger.info(
        "the upload of the region's contribution failed and will be tried again: \(error)",
        metadata: ["task.id": "\(job.task)", "round": "\(job.key.round)"])
      attempt += 1
      do { try await Task.sleep(for: pause) } catch { return }
    }
  }

  private func send(_ job: Job, _ result: JobResult) async -> Result<Delivery.Answer, TransferError> {
    guard let file = await state.file(of: result.digest) else {
      return .success(.refused(reason: "the region's result is missing from its disk"))
    }
    do throws(TransferError) {
      // Resumes, because an earlier process may have sent a part of it.
      try await client.upload(
        ResumableUpload(
          UploadSource(file: file), to: job.invitation.upload, ticket: job.invitation.ticket, digest: result.digest,
          contentType: job.key.phase == .train ? "application/octet-stream" : "application/json", resumes: true))
      return .success(.counts)
    } catch {
      switch error.status {
      // Another contribution of this region already counts.
      case 409: return .success(.counts)
      case 404, 410: return .success(.closed(reason: error.problem.map { "\($0)" } ?? "\(error)"))
      default: return .failure(error)
      }
    }
  }

  /// The region's own view of a task, with its devices' contributions if it aggregates.
  ///
  /// - Parameter window: selects its finished rounds.
  func task(_ id: TaskID, _ window: RoundWindow) async throws(Problem) -> RegionTask {
    let machine = await shell.machine.coordinator
    guard let run = machine.tasks[id], let now = machine.roundState(id) else {
      throw server.history.unknown(id)
    }
    let rounds = try await server.history.records(of: id, window).rounds
    return RegionTask(descriptor: run.descriptor, now: now, rounds: rounds, traffic: topics.meter.traffic(of: id))
  }
}
