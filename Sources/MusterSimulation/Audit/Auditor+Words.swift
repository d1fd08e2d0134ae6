internal import MusterCoordination
internal import MusterParticipation
internal import MusterSchema
internal import MusterShell

// Checks on answers and published messages.
extension Auditor {
  /// Checks an upload's answer as it leaves a ledger.
  func answered(_ upload: Upload, _ answer: UploadAnswer, by ledger: NodeID) {
    let book = books[BookKey(ledger: ledger, task: upload.task)]
    let key = PhaseKey(round: upload.round, phase: upload.phase)
    let row = book?.rows[key]?[upload.contribution.path] ?? book?.settled[key]?[upload.contribution.path]
    let who = "\(upload.contribution.path), round \(upload.round) of \(upload.task), \(upload.phase)"
    let digest = upload.contribution.digest
    guard case .said(let answer) = answer else {
      return check(upload.isForged, "\(who): its own ticket is refused by \(ledger)")
    }
    switch answer {
    case .stored, .same, .conflict: check(!upload.isForged, "\(who): answered as if its forged ticket were valid")
    case .closed, .refused, .unknown: break
    }
    switch answer {
    case .stored: check(row == digest, "\(who): answered with 201, but the store of \(ledger) does not have it")
    case .same: check(row == digest, "\(who): answered with 200, but different bytes count")
    case .conflict: check(row != nil && row != digest, "\(who): answered with 409, but no other contribution of this path counts")
    case .closed(let why): check(row == nil, "\(who): answered with 410 (\(why)), but it counts")
    case .refused(let why):
      check(upload.isExaggerated, "\(who): answered with 422 (\(why)), but its numbers are in range")
      check(row == nil, "\(who): answered with 422 (\(why)), but it counts")
    case .unknown: check(book == nil || ledger != .central, "\(who): answered with 404, but the task exists")
    }
  }

  func says(_ ledger: PhaseLedger, by name: NodeID) {
    let book = books[BookKey(ledger: name, task: ledger.task)]
    let key = PhaseKey(round: ledger.round, phase: ledger.phase)
    let (rows, settled) = (book?.rows[key] ?? [:], book?.settled[key] ?? [:])
    let isKnown = ledger.accepted.allSatisfy { rows[$0] != nil || settled[$0] != nil }
    let place = "task \(ledger.task), round \(ledger.round), \(ledger.phase)"
    check(isKnown, "\(place): the ledger of \(name) lists a contribution that its store does not have")
    // A row that was written a moment ago is visible only once its commit has answered.
    let isWriting = name == .central ? world.central.shell.isCommitting : world.region(name)?.shell.isCommitting ?? true
    check(
      isWriting || rows.keys.allSatisfy(ledger.accepted.contains),
      "\(place): the ledger of \(name) lists \(ledger.accepted.count) contributions, its store has \(rows.count)")
  }

  /// Checks that a message which a server publishes is backed by its store.
  func publishes(_ publication: Publication, by coordinator: NodeID) {
    switch (publication.content, publication.topic) {
    case (.descriptor(let descriptor), _): if coordinator == .central { says(descriptor) }
    case (.invitation(let invitation), .invitation(_, let node, _)):
      invites(invitation, by: coordinator)
      asks(node, invitation, by: coordinator)
    case (.round(let state), let topic):
      // A server that starts again does not know when it last published.
      let last = windows.updateValue(world.time, forKey: topic)
      check(state.step.isFinal || last.map { world.time - $0 >= 1000 } ?? true, "\(topic) changes twice within a second")
    default: break
    }
  }

  private func says(_ descriptor: TaskDescriptor) {
    check(
      descriptor.revision <= books[BookKey(ledger: .central, task: descriptor.task)]?.revision ?? 0,
      "task \(descriptor.task): revision \(descriptor.revision) was published but not stored")
  }

  private func invites(_ invitation: Invitation, by coordinator: NodeID) {
    let isStored =
      coordinator == .central
      ? books[BookKey(ledger: .central, task: invitation.task)]?.opened.contains(invitation.key) ?? false
      : orders[coordinator]?[invitation.task].map { $0 >= invitation.key } ?? false
    check(isStored, "task \(invitation.task): \(coordinator) invites to \(invitation.key), which is not stored")
  }

  func published(_ packet: Packet, at broker: Broker) {
    if case .node(let state) = packet.payload, !state.online { ended(state.session) }
    guard broker.published % 64 == 0 else { return }
    let tasks = max(1, world.directory.tasks.count)
    let nodes = world.directory.nodes.count
    bound(broker.retained.count, 2 * nodes + tasks * (2 * nodes + 4) + 8, "\(broker.name)'s retained messages")
  }

  /// Checks whether the base of a job may be missing, after a device asked for it and central's store does not have it.
  func misses(_ digest: Digest, _ job: Job) {
    let machine = world.central.machine
    guard let run = machine.tasks[job.task], machine.refusal(run, round: job.key.round, phase: job.key.phase) == nil else { return }
    fails("task \(job.task): \(job.key) is open, but central's store does not have its base model")
  }
}
