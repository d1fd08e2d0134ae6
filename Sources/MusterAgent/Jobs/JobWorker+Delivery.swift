import Logging
import MusterGround
import MusterParticipation
import MusterSchema
import MusterTransfer

extension JobWorker {
  /// Sends the result until the ledger has accepted or refused it.
  func upload(_ first: Job, _ control: StepControl) async throws {
    var attempt = 1
    var (source, contentType): (UploadSource, String)
    while let job = await shell.job(first.task, first.key), let result = job.result {
      // A repeated invitation may have changed the address.
      if let why = policy.uploadRefusal(job.invitation.upload) { throw JobFailure(why) }
      let folder = shell.folders.job(job.task, job.key)
      do {
        (source, contentType) = try ContributionBody.source(result, in: folder)
        if attempt == 1, result.digest != packed { try await verify(source, result) }
      } catch let error as JobFailure {
        throw error
      } catch {
        throw JobFailure("the result is missing from the device's disk")
      }
      // Many bytes take long to upload. Secure the result first, so that a loss of power in that time does not cost the training.
      if attempt == 1, result.bytes > Self.partBytes { await secure(result, in: folder) }
      do throws(TransferError) {
        try await http().upload(upload(of: result, in: folder, source, contentType, to: job.invitation, again: attempt > 1))
        return await delivered(job)
      } catch {
        if error == .cancelled { throw CancellationError() }
        switch error.status {
        // The ledger has accepted this job's contribution already.
        case 409: return await delivered(job)
        case 404, 410: return await shell.receive(.refused(job.task, job.key, reason: describe(error)))
        default: break
        }
        guard let pause = error.patience(attempt) else { throw error }
        if attempt == 1, result.bytes <= Self.partBytes { await secure(result, in: folder) }
        logger.info(
          "the upload failed and will be tried again: \(error)",
          metadata: ["task.id": "\(job.task)", "round": "\(job.key.round)", "attempt": "\(attempt)"])
        await shell.receive(.hindered(job.task, job.key, reason: "cannot deliver its result: \(describe(error))"))
        attempt += 1
        await control.hurry.wait(until: .now + pause)
        try Task.checkCancellation()
      }
    }
  }

  /// The size of a part in bytes, which is the most that an interruption of an upload costs.
  static let partBytes = 1 << 20

  private func upload(
    of result: JobResult, in folder: String, _ source: UploadSource, _ contentType: String, to invitation: Invitation, again: Bool
  ) -> ResumableUpload {
    let mark = UploadMark.read(in: folder, of: result.digest)
    if let mark {
      logger.info(
        "the upload continues", metadata: ["task.id": "\(invitation.task)", "bytes": "\(mark.offset)", "of.bytes": "\(mark.total)"])
    }
    let (logger, marker) = (logger, UploadMarker(folder: folder, digest: result.digest))
    return ResumableUpload(
      source, to: invitation.upload, ticket: invitation.ticket, digest: result.digest, contentType: contentType,
      partBytes: Self.partBytes, resumes: again || mark != nil || result.digest != packed,
      acknowledged: { offset, total in
        do {
          try await marker.acknowledged(offset, of: total)
        } catch {
          logger.debug("the progress of the upload cannot be recorded: \(error)")
        }
      })
  }

  private func delivered(_ job: Job) async {
    do throws(FileError) {
      try shell.folders.keepResidual(job.task, job.key)
    } catch {
      logger.warning("the residual of the update is lost: \(error)", metadata: ["task.id": "\(job.task)", "round": "\(job.key.round)"])
    }
    await shell.receive(.delivered(job.task, job.key))
  }

  /// Checks a result that an earlier process packed: the bytes may not be those that the journal names.
  private func verify(_ source: UploadSource, _ result: JobResult) async throws {
    let found = try await measure(source)
    guard found.digest == result.digest else { throw JobFailure("the result on the device's disk is damaged") }
  }

  private func secure(_ result: JobResult, in folder: String) async {
    do throws(FileError) {
      // Flushing a large model to a slow card takes seconds, which would block one of the few cooperative threads.
      try await offloadLong { () throws(FileError) in try ContributionBody.secure(result, in: folder) }
      await shell.secureJournal()
    } catch {
      logger.warning("the result cannot be flushed to the disk, so a loss of power may lose it: \(error)")
    }
  }

  /// Asks the ledger, after a restart, whether it still wants the job.
  func ask(_ job: Job, _ control: StepControl) async throws {
    let (task, key) = (job.task, job.key)
    guard let address = LedgerAddress(job.invitation), policy.uploadRefusal(job.invitation.upload) == nil else {
      return await shell.receive(.refused(task, key, reason: "the upload address is not valid, or the device's owner does not allow it"))
    }
    var attempt = 1
    while await shell.job(task, key) != nil {
      do throws(TransferError) {
        let ledger: PhaseLedger = try await http().get(from: address.ledger)
        if ledger.accepted.contains(address.path) { return await delivered(job) }
        return await shell.receive(ledger.open ? .confirmed(task, key) : .refused(task, key, reason: "the round is closed"))
      } catch {
        if error == .cancelled { throw CancellationError() }
        guard let pause = error.patience(attempt) else {
          return await shell.receive(.refused(task, key, reason: describe(error)))
        }
        logger.debug("the ledger does not answer yet: \(error)", metadata: ["task.id": "\(task)"])
        attempt += 1
        await control.hurry.wait(until: .now + pause)
        try Task.checkCancellation()
      }
    }
  }

  private func describe(_ error: TransferError) -> String {
    (error.problem.map { "\($0)" } ?? "\(error)").brief()
  }

  /// Compares the tasks with the coordinator's list: on every connection, when the coordinator is a new one, and when it clears a task's
  /// topic. Tasks that the list does not have are forgotten with their jobs.
  func watchList() async {
    while !Task.isCancelled {
      await shell.listWanted.wait()
      let (jobs, tasks) = (await shell.jobs, await shell.openTasks)
      guard !(jobs.isEmpty && tasks.isEmpty), !Task.isCancelled, let address = await shell.dataAddress else { continue }
      do throws(TransferError) {
        let descriptors: [TaskDescriptor] = try await http().get(from: "\(address)/v1/descriptors")
        await shell.compare(Set(descriptors.map(\.task)), jobsBefore: jobs, tasksBefore: tasks)
      } catch {
        logger.debug("the coordinator's list of tasks cannot be fetched, retrying: \(error)")
        do { try await Task.sleep(for: .seconds(5)) } catch { return }
        shell.listWanted.ring()
      }
    }
  }
}
