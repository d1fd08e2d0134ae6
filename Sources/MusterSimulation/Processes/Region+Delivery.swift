internal import MusterCoordination
internal import MusterParticipation
internal import MusterSchema
internal import MusterShell

// A region that aggregates: it makes one contribution from those of its devices, and delivers it.
extension RegionProcess {
  /// Long work that does the same as `RegionWork`.
  func combination(_ item: RegionWorkItem) -> SimulatedWork<RegionMachine.Event> {
    let key = item.key.roundKey
    let refused =
      key.phase == .evaluate
      ? []
      : item.contributions.compactMap { update in
        world.refusesUpdates(update.path).map { Waiting(node: update.path.description, reason: $0) }
      }
    let digest = world.modelDigest(item.key.task, key.round, item.contributions)
    return SimulatedWork(
      key: item.key, result: { [unowned self] in .below(outcome(item, refused, digest)) },
      delayed: { .below(.workDelayed(item.key.task, .aggregate, round: key.round, reason: $0)) },
      failed: { .below(.workFailed(item.key.task, .aggregate, round: key.round, key: key, reason: $0)) })
  }

  private func outcome(_ item: RegionWorkItem, _ refused: [Waiting], _ digest: Digest) -> Coordinator.Event {
    let (task, key) = (item.key.task, item.key.roundKey)
    if refused.count == item.contributions.count, let first = refused.first {
      let reason = "none of \(refused.count) updates can be used: \(first.node): \(first.reason)"
      return .workFailed(task, .aggregate, round: key.round, key: key, reason: reason)
    }
    // Blobs that the machine no longer waits for may have been collected.
    let isWanted = machine.coordinator.tasks[task].map { $0.isAggregating && $0.order?.key == key } ?? false
    for update in item.contributions where isWanted && key.phase == .train && !holds(update.digest) {
      world.auditor.fails("the update \(update.path) of round \(key.round) of \(task) counts, but is not in \(self.id)'s store")
    }
    keep(digest)
    return .combined(task, key, Combined(result: JobResult(file: "combined", digest: digest, bytes: 100), refused: refused))
  }

  /// Sends the region's own contribution until the ledger above has it, or does not want it.
  func deliver(_ delivery: Delivery, attempt: Int, _ done: @escaping () -> Void) {
    let life = life
    guard let job = delivery.current(machine), let result = job.result, let address = UploadAddress(job.invitation.upload) else {
      return done()
    }
    guard holds(result.digest) else {
      shell.post(delivery.event(for: .refused(reason: "the region's result is missing from its disk")))
      return done()
    }
    // The contribution stands for as many devices as it was made from.
    let count = machine.coordinator.tasks[job.task]?.ledger(round: job.key.round, phase: job.key.phase)?.accepted.count ?? 1
    let contribution = ContributionRecord(
      path: address.path, digest: result.digest, weight: 10 * Double(count), bytes: 100, count: count, metrics: ["accuracy": 0.5])
    let upload = Upload(address.scope, contribution, ticket: job.invitation.ticket)
    let transfer = world.random.within(world.plan.transferTime)
    let central = world.central
    world.exchange(
      from: site, with: central, serve: { central.dataPlane.put(upload, transfer: transfer, $0) },
      done: {
        [unowned self] (answer: UploadAnswer?) in
        guard isUp, self.life == life else { return }
        if let answer {
          shell.post(delivery.event(for: Delivery.Answer(answer)))
          return done()
        }
        if world.plants(.uploadIsTriedOnce) { return done() }
        world.after(world.random.within(0...min(2000, 250 << Int64(min(attempt, 4))))) { [unowned self] _ in
          if isUp, self.life == life { deliver(delivery, attempt: attempt + 1, done) }
        }
      })
  }
}

extension Delivery.Answer {
  /// Interprets an answer in the same way as the answers of the HTTP routes.
  fileprivate init(_ answer: UploadAnswer) {
    switch answer {
    case .said(.stored), .said(.same), .said(.conflict): self = .counts
    case .said(.closed(let reason)): self = .closed(reason: reason)
    case .said(.unknown): self = .closed(reason: "unknown")
    case .said(.refused(let reason)), .refused(let reason): self = .refused(reason: reason)
    }
  }
}
