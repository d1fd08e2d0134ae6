internal import MusterCoordination
internal import MusterSchema

// A region that aggregates: makes one contribution of its devices', and delivers it.
extension RegionProcess {
  /// As `RegionWork`: from what is copied out of the machine now.
  func combine(_ task: TaskID, _ machine: Coordinator) {
    guard let run = machine.tasks[task], let key = run.order?.key, var contributions = run.frozenUpdates?.contributions else { return }
    if world.plants(.foldsWithoutTheLast), contributions.count > 1 { contributions.removeLast() }
    let refused =
      key.phase == .evaluate
      ? []
      : contributions.compactMap { update in
        world.refusesUpdates(update.path).map { Waiting(node: update.path.description, reason: $0) }
      }
    let digest = world.modelDigest(task, key.round, contributions)
    let count = run.frozenUpdates?.contributions.count ?? 0
    let id = Fold.ID(kind: .aggregate, task: task, key: key, contributions: count)
    addOrder(
      Fold(id: id) { [unowned self] trouble, done in
        report(.below(outcome(trouble, task, key, contributions, refused, digest)), done)
      })
  }

  private func outcome(
    _ trouble: String?, _ task: TaskID, _ key: RoundKey, _ contributions: [ContributionRecord], _ refused: [Waiting], _ digest: Digest
  ) -> Coordinator.Event {
    if let trouble { return .workFailed(task, .aggregate, round: key.round, key: key, reason: trouble) }
    if refused.count == contributions.count, let first = refused.first {
      let reason = "none of \(refused.count) updates can be used: \(first.node): \(first.reason)"
      return .workFailed(task, .aggregate, round: key.round, key: key, reason: reason)
    }
    // What nobody waits for any more may be collected.
    let isWanted = machine.coordinator.tasks[task].map { $0.isAggregating && $0.order?.key == key } ?? false
    for update in contributions where isWanted && key.phase == .train && !holds(update.digest) {
      world.auditor.fails("the update \(update.path) of round \(key.round) of \(task) counts, and is not in \(self.id)'s store")
    }
    keep(digest)
    return .combined(task, key, Combined(result: JobResult(file: "combined", digest: digest, bytes: 100), refused: refused))
  }

  /// A result is not lost to a full disk: it is handed over until it is durable.
  private func report(_ event: RegionMachine.Event, _ done: @escaping () -> Void) {
    let life = life
    shell.post(event) { [unowned self] outcome in
      if outcome == .committed || world.plants(.reportsWorkOnce) { return done() }
      world.after(1000) { [unowned self] _ in if isUp, self.life == life { report(event, done) } }
    }
  }

  /// Sends the region's own contribution until the ledger above has it, or does not want it.
  func deliver(_ first: Job, attempt: Int, _ done: @escaping () -> Void) {
    let (task, key, life) = (first.task, first.key, life)
    guard let job = machine.participant.jobs[task], job.isSameWork(as: key), job.stage == .uploading, let result = job.result,
      let address = UploadAddress(job.invitation.upload)
    else { return done() }
    guard holds(result.digest) else {
      shell.post(.above(.failed(task, key, reason: "the region's result is gone from its disk")))
      return done()
    }
    // What it is made of says how many devices it stands for.
    let count = machine.coordinator.tasks[task]?.ledger(round: key.round, phase: key.phase)?.accepted.count ?? 1
    let contribution = ContributionRecord(
      path: address.path, digest: result.digest, weight: 10 * Double(count), bytes: 100, count: count, metrics: ["accuracy": 0.5])
    let upload = Upload(address.scope, contribution, ticket: job.invitation.ticket)
    let transfer = world.random.within(world.plan.transferTime)
    let central = world.central
    world.exchange(
      from: site, with: central, serve: { central.desk.put(upload, transfer: transfer, $0) },
      done: {
        [unowned self] (answer: UploadAnswer?) in
        guard isUp, self.life == life else { return }
        switch answer {
        case .said(.stored), .said(.same), .said(.conflict): shell.post(.above(.delivered(task, key)))
        case .said(.closed(let reason)): shell.post(.above(.refused(task, key, reason: reason)))
        case .said(.refused(let reason)): shell.post(.above(.failed(task, key, reason: reason)))
        case .said(.unknown): shell.post(.above(.refused(task, key, reason: "unknown")))
        case .refused(let reason): shell.post(.above(.failed(task, key, reason: reason)))
        case nil:
          if world.plants(.uploadIsTriedOnce) { return done() }
          world.after(world.random.within(0...min(2000, 250 << Int64(min(attempt, 4))))) { [unowned self] _ in
            if isUp, self.life == life { deliver(first, attempt: attempt + 1, done) }
          }
          return
        }
        done()
      })
  }
}
