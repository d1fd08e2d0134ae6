internal import MusterSchema

// The statuses that a participant publishes. A status is sent when it changes, and again when it is owed.
extension Participant {
  /// Sends the current status of the task if it has changed.
  mutating func say(_ task: TaskID) {
    guard let status = status(task), status != said[task] else { return }
    // The list of devices that a scout waits for changes with every step of a device. It is for people, so a status in which only that
    // list has changed may be lost.
    var before = said[task]
    before?.waiting = status.waiting
    say(status, lasting: before != status)
  }

  mutating func say(_ status: NodeStatus, lasting: Bool = true) {
    said[status.task] = status
    effects.append(.status(status, lasting: lasting))
  }

  /// Sends the readiness, but only between jobs: while a job runs, the status of the job stands.
  mutating func sayReadiness(_ task: TaskID) {
    guard tasks[task]?.state == .open, jobs[task] == nil, let readiness = readiness[task] else { return }
    if failureStands(task) { return }
    let status = idleStatus(task, readiness)
    // `done` already says that the device could take part again, so `ready` does not replace it.
    if capacity == 1, said[task]?.state == .done, status.state == .ready { return }
    if status != said[task] { say(status) }
  }

  /// When a job ends, the tasks that were declined because of it are checked again.
  mutating func sayOthers(_ finished: TaskID) {
    for task in tasks.keys.sorted() where task != finished && tasks[task]?.state == .open && said[task]?.state == .declined {
      effects.append(.check(task))
    }
  }

  private func idleStatus(_ task: TaskID, _ readiness: Readiness) -> NodeStatus {
    var readiness = readiness
    if let aside = setAside(task) {
      readiness = .declined(aside, retrySeconds: failures[task].flatMap { $0.count < Self.patience ? $0.until.seconds(since: now) : nil })
    } else if capacity == 1, jobs.count >= capacity, readiness.devices > 0 {
      readiness = .declined("busy with task \(jobs.keys.sorted().map(\.rawValue).joined(separator: ", "))", retrySeconds: 5)
    }
    if readiness.devices == 0, readiness.reason == nil {
      readiness.reason = readiness.declined > 0 ? "no device is ready: \(readiness.declined) declined" : "no device has answered yet"
    }
    return NodeStatus(
      node: id, task: task, state: readiness.devices > 0 ? .ready : .declined, reason: readiness.reason,
      retrySeconds: readiness.retrySeconds, devices: readiness.devices, declined: readiness.declined,
      waiting: readiness.waiting.isEmpty ? nil : readiness.waiting, trainer: readiness.devices > 0 ? readiness.trainer : nil)
  }

  /// Whether a region's `failed` status still stands, until it may try again. Its readiness changes with every device and would replace
  /// that answer before the coordinator has received it.
  private func failureStands(_ task: TaskID) -> Bool {
    capacity > 1 && said[task]?.state == .failed && setAside(task) != nil
  }

  func status(_ task: TaskID) -> NodeStatus? {
    guard let job = jobs[task] else {
      return failureStands(task) ? said[task] : readiness[task].map { idleStatus(task, $0) }
    }
    if capacity > 1 { return scoutStatus(job) }
    switch job.stage {
    case .asking: return nil
    case .waiting: return status(job, .accepted)
    case .training(nil, _): return status(job, .accepted, reason: job.hindrance)
    case .training(let progress, let loss):
      var status = status(job, .training)
      status.progress = progress.map { ($0 * 1000).rounded() / 1000 }
      status.loss = loss
      return status
    case .uploading: return status(job, .uploading, reason: job.hindrance)
    case .delivered: return status(job, .done)
    }
  }

  func status(_ job: Job, _ state: NodeStatus.State, reason: String? = nil, retrySeconds: Double? = nil) -> NodeStatus {
    NodeStatus(
      node: id, task: job.task, state: state, round: job.key.round, attempt: job.key.attempt, phase: job.key.phase, reason: reason,
      retrySeconds: retrySeconds, trainer: readiness[job.task]?.trainer)
  }

  private func scoutStatus(_ job: Job) -> NodeStatus? {
    // Until the scout has received its order there is nothing to report about it.
    guard let standing = standings[job.task], standing.key == job.key, let state = standing.state else { return nil }
    var status = status(job, job.stage == .uploading ? .uploading : state, reason: standing.reason)
    status.devices = standing.readiness.devices
    status.declined = standing.readiness.declined
    status.have = standing.have
    status.quota = standing.quota
    status.code = standing.code
    status.waiting = standing.waiting.isEmpty ? nil : standing.waiting
    return status
  }
}
