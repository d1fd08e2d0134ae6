internal import MusterSchema

extension Participant {
  mutating func heard(_ descriptor: TaskDescriptor) {
    let known = tasks[descriptor.task]
    if let known, descriptor.revision < known.revision || known.state.isFinal { return }
    guard known != descriptor else { return }
    if descriptor.state.isFinal, let job = onItsWay(descriptor.task) {
      held[descriptor.task, default: (nil, nil)].end = descriptor
      effects.append(.ask(job))
      return
    }
    tasks[descriptor.task] = descriptor
    effects.append(.descriptor(descriptor))
    // A job that was restored after a restart may have waited for this descriptor.
    if known == nil { tick() }
    if descriptor.revision != known?.revision { failures[descriptor.task] = nil }
    if descriptor.state.isFinal {
      if let job = jobs[descriptor.task] { drop(job, "the task is \(descriptor.state.rawValue)") }
      said[descriptor.task] = nil
      sayOthers(descriptor.task)
    } else if descriptor.state == .open {
      effects.append(.check(descriptor.task))
    }
    // The descriptor was repeated or changed, so the coordinator may have restarted and missed this status.
    if known != nil, let status = said[descriptor.task] {
      effects.append(.status(status, lasting: true))
    }
  }

  mutating func heard(_ invitation: Invitation) {
    let task = invitation.task
    // An invitation cannot be carried out without its descriptor. The coordinator will repeat it.
    guard let descriptor = tasks[task], descriptor.state == .open else { return }
    if let job = jobs[task] {
      if invitation.key < job.key { return }
      if job.isSameWork(as: invitation.key) {
        jobs[task]?.invitation = invitation
        if capacity > 1, job.result == nil, invitation != job.invitation {
          commit(.taken(invitation))
          start(task)
        }
        repeatStatus(task)
        return
      }
      // An invitation to newer work of the same task: the ledger has closed the older round or phase.
      if let job = onItsWay(task) {
        held[task, default: (nil, nil)].invitation = invitation
        effects.append(.ask(job))
        return
      }
      drop(job, "replaced by an invitation to \(invitation.key)")
    }
    if let last = last[task], invitation.key.round == last.key.round, invitation.phase == last.key.phase,
      invitation.attempt <= last.key.attempt || last.status.state == .done
    {
      say(last.status)
      if last.status.state != .done || capacity > 1 { effects.append(.check(task)) }
      return
    }
    if let last = last[task], invitation.key < last.key { return }
    if jobs.count >= capacity {
      decline(invitation, "busy with task \(jobs.keys.sorted().map(\.rawValue).joined(separator: ", "))", retrySeconds: 5)
    } else if let aside = setAside(task) {
      decline(invitation, aside, retrySeconds: nil)
    } else if let readiness = readiness[task], readiness.devices == 0, capacity == 1 {
      decline(invitation, readiness.reason ?? "not ready", retrySeconds: readiness.retrySeconds)
    } else {
      commit(.taken(invitation))
      let wait = invitation.startWithin * Seeds.fraction(invitation.seed, id.rawValue)
      jobs[task]?.stage = .waiting(until: now.advanced(bySeconds: wait.isFinite ? max(0, wait) : 0))
      say(task)
      tick()
    }
  }

  /// A region's job whose result may or may not have reached the ledger yet.
  private func onItsWay(_ task: TaskID) -> Job? {
    jobs[task].flatMap { capacity > 1 && $0.result != nil && ($0.stage == .uploading || $0.stage == .asking) ? $0 : nil }
  }

  /// Handles the messages that were held back while a contribution was being delivered, now that its fate is known.
  private mutating func goOn(_ task: TaskID) {
    guard jobs[task] == nil, let (end, invitation) = held.removeValue(forKey: task) else { return }
    if let end { heard(end) }
    if let invitation { heard(invitation) }
  }

  private mutating func repeatStatus(_ task: TaskID) {
    if let status = status(task) { say(status) }
  }

  private mutating func decline(_ invitation: Invitation, _ reason: String, retrySeconds: Double?) {
    say(
      NodeStatus(
        node: id, task: invitation.task, state: .declined, round: invitation.round, attempt: invitation.attempt, phase: invitation.phase,
        reason: reason, retrySeconds: retrySeconds, devices: 0, declined: 1))
  }

  mutating func tick() {
    for task in jobs.keys.sorted() {
      // A job cannot begin without its descriptor. After a restart the descriptor arrives with the connection.
      if case .waiting(let until) = jobs[task]?.stage, now >= until, tasks[task] != nil { start(task) }
    }
    for task in failures.keys.sorted() {
      guard let failure = failures[task], failure.count < Self.patience, failure.until <= now, jobs[task] == nil else { continue }
      guard let state = said[task]?.state, state == .failed || state == .declined else { continue }
      effects.append(.check(task))
    }
  }

  private mutating func start(_ task: TaskID) {
    jobs[task]?.stage = .training(progress: nil, loss: nil)
    if let job = jobs[task] { effects.append(.start(job)) }
  }

  mutating func confirmed(_ task: TaskID, _ key: RoundKey) {
    guard let job = jobs[task], job.isSameWork(as: key), job.stage == .asking else { return }
    if job.result != nil {
      jobs[task]?.stage = .uploading
      if let job = jobs[task] { effects.append(.upload(job)) }
      say(task)
    } else {
      jobs[task]?.stage = .waiting(until: now)
      say(task)
      tick()
    }
  }

  mutating func progressed(_ task: TaskID, _ key: RoundKey, _ fraction: Double, _ loss: Double?) {
    guard let job = jobs[task], job.isSameWork(as: key), case .training = job.stage else { return }
    let fraction = fraction.isFinite ? min(max(fraction, 0), 1) : 0
    jobs[task]?.stage = .training(progress: fraction, loss: loss.flatMap { $0.isFinite ? $0 : nil })
    if let status = status(task) { say(status, lasting: said[task]?.state != status.state) }
  }

  mutating func hindered(_ task: TaskID, _ key: RoundKey, _ reason: String?) {
    guard let job = jobs[task], job.isSameWork(as: key) else { return }
    jobs[task]?.hindrance = reason?.brief(160)
    say(task)
  }

  mutating func finished(_ task: TaskID, _ key: RoundKey, _ result: JobResult) {
    guard let job = jobs[task], job.isSameWork(as: key) else { return }
    failures[task] = nil
    jobs[task]?.hindrance = nil
    commit(.ready(task, job.key, result))
    if let job = jobs[task] { effects.append(.upload(job)) }
    say(task)
  }

  mutating func failed(_ task: TaskID, _ key: RoundKey, _ reason: String) {
    guard let job = jobs[task], job.isSameWork(as: key) else { return }
    let reason = reason.brief(160)
    let count = failures[task].map { $0.reason == reason ? $0.count + 1 : 1 } ?? 1
    let wait = Double(5 * (1 << min(count - 1, 6)))
    failures[task] = (reason, count, now.advanced(bySeconds: wait))
    let status = status(job, .failed, reason: reason, retrySeconds: count < Self.patience ? wait : nil)
    commit(.dropped(task, job.key))
    last[task] = (job.key, status)
    say(status)
    sayOthers(task)
    goOn(task)
  }

  mutating func delivered(_ task: TaskID, _ key: RoundKey) {
    guard let job = jobs[task], job.isSameWork(as: key) else { return }
    commit(.delivered(task, job.key))
    if let status = last[task]?.status { say(status) }
    sayOthers(task)
    goOn(task)
  }

  mutating func refused(_ task: TaskID, _ key: RoundKey, _ reason: String) {
    guard let job = jobs[task], job.isSameWork(as: key) else { return }
    drop(job, reason)
    effects.append(.check(task))
    sayOthers(task)
    goOn(task)
  }

  mutating func forget(_ task: TaskID) {
    if let job = jobs[task] { drop(job, "the coordinator no longer knows the task") }
    tasks[task] = nil
    held[task] = nil
    said[task] = nil
    readiness[task] = nil
    standings[task] = nil
    last[task] = nil
    failures[task] = nil
    sayOthers(task)
  }

  mutating func drop(_ job: Job, _ reason: String) {
    commit(.dropped(job.task, job.key))
    effects.append(.cancel(job.task, job.key, reason: reason))
  }

  /// Why the task is declined because its jobs failed; `nil` if it may be taken.
  func setAside(_ task: TaskID) -> String? {
    guard let failure = failures[task] else { return nil }
    if failure.count >= Self.patience { return "set aside after \(failure.count) failures with the same reason: \(failure.reason)" }
    let summary = "failed \(failure.count == 1 ? "a moment ago" : "\(failure.count) times")"
    return now < failure.until ? "\(summary) and will be retried: \(failure.reason)" : nil
  }
}
