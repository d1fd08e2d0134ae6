package import MusterSchema

/// The role that is invited and delivers one contribution: a device that trains, or a region that scouts.
///
/// A value like `Coordinator`: no I/O, no clock, no randomness. Only the latest status of a task matters; it is sent again on every
/// connect.
package struct Participant: Sendable {
  package let id: NodeID
  package let coordinator: NodeID
  /// Maximum number of jobs at a time: 1 for a device, unlimited for a region.
  package let capacity: Int
  package internal(set) var tasks: [TaskID: TaskDescriptor] = [:]
  package internal(set) var jobs: [TaskID: Job] = [:]
  package internal(set) var coordinatorState: CoordinatorState?

  var readiness: [TaskID: Readiness] = [:]
  var standings: [TaskID: Standing] = [:]
  /// The last status that was sent for each task.
  var said: [TaskID: NodeStatus] = [:]
  /// The newest work of each task that was finished, given up or refused. It is not taken again.
  package internal(set) var last: [TaskID: (key: RoundKey, status: NodeStatus)] = [:]
  /// At a region whose contribution is being delivered: the task's end or a newer invitation, received meanwhile. It is handled once the
  /// fate of the contribution is known, which the region's record gives as the fate of its devices' contributions. Not durable: the
  /// coordinator repeats both messages.
  var held: [TaskID: (end: TaskDescriptor?, invitation: Invitation?)] = [:]
  var failures: [TaskID: (reason: String, count: Int, until: Instant)] = [:]

  var now = Instant.zero
  var records: [Record] = []
  var effects: [Effect] = []

  /// Trainer failures with the same reason after which a task is set aside.
  static let patience = 3

  package init(id: NodeID, coordinator: NodeID, capacity: Int) {
    self.id = id
    self.coordinator = coordinator
    self.capacity = capacity
  }

  package init(
    id: NodeID, coordinator: NodeID, capacity: Int, restoring records: some Sequence<(at: Instant, record: Record)>
  ) {
    self.init(id: id, coordinator: coordinator, capacity: capacity)
    for (at, record) in records {
      now = max(now, at)
      apply(record)
    }
    for task in jobs.keys { jobs[task]?.stage = .asking }
  }

  package mutating func handle(_ event: Event, at instant: Instant) -> (records: [Record], effects: [Effect]) {
    now = max(now, instant)
    process(event)
    defer {
      records = []
      effects = []
    }
    return (records, effects)
  }

  private mutating func process(_ event: Event) {
    switch event {
    case .coordinator(let state):
      let returned = state.online && coordinatorState?.session != state.session
      let isAnother = returned && coordinatorState != nil
      if state.online || coordinatorState?.session == state.session { coordinatorState = state }
      if isAnother {
        // The coordinator may have lost its state or have been replaced: announce this node again, and as a region ask which jobs it still
        // wants.
        effects.append(.announce)
        if capacity > 1 { effects += jobs.keys.sorted().compactMap { jobs[$0] }.filter { $0.stage != .asking }.map { .ask($0) } }
      }
      if returned { effects += owed() }
    case .descriptor(let descriptor): heard(descriptor)
    case .invitation(let invitation): heard(invitation)
    case .readiness(let task, let readiness):
      self.readiness[task] = readiness
      sayReadiness(task)
    case .standing(let task, let standing):
      standings[task] = standing
      readiness[task] = standing.readiness
      if standing.key != nil || jobs[task] != nil { say(task) } else { sayReadiness(task) }
    case .progress(let task, let key, let fraction, let loss): progressed(task, key, fraction, loss)
    case .hindered(let task, let key, let reason): hindered(task, key, reason)
    case .finished(let task, let key, let result): finished(task, key, result)
    case .failed(let task, let key, let reason): failed(task, key, reason)
    case .delivered(let task, let key): delivered(task, key)
    case .refused(let task, let key, let reason): refused(task, key, reason)
    case .confirmed(let task, let key): confirmed(task, key)
    case .forget(let task): forget(task)
    case .unstorable(let task, let reason):
      if let job = jobs[task] { failed(task, job.key, "a record of this job cannot be stored: \(reason)") }
    case .connected: effects += owed()
    case .tick: tick()
    }
  }

  mutating func commit(_ record: Record) {
    apply(record)
    records.append(record)
  }

  private mutating func apply(_ record: Record) {
    switch record {
    case .taken(let invitation): jobs[invitation.task] = Job(invitation: invitation, stage: .waiting(until: now))
    case .ready(let task, let key, let result):
      guard jobs[task]?.isSameWork(as: key) == true else { return }
      jobs[task]?.result = result
      jobs[task]?.stage = .uploading
    case .delivered(let task, let key):
      jobs[task] = nil
      last[task] = (key, answer(task, key, .done))
    case .dropped(let task, let key):
      if jobs[task]?.isSameWork(as: key) == true { jobs[task] = nil }
      last[task] = (key, answer(task, key, .declined, reason: "already gave up on \(key)"))
    }
  }

  /// The status that answers a repeated invitation to work that is already over.
  private func answer(_ task: TaskID, _ key: RoundKey, _ state: NodeStatus.State, reason: String? = nil) -> NodeStatus {
    NodeStatus(
      node: id, task: task, state: state, round: key.round, attempt: key.attempt, phase: key.phase, reason: reason,
      devices: state == .done ? (capacity == 1 ? 1 : readiness[task]?.devices ?? 0) : 0,
      trainer: state == .done ? readiness[task]?.trainer : nil)
  }

  /// When the participant next needs a tick because of time alone.
  package var nextDeadline: Instant? {
    let starts = jobs.compactMap { task, job -> Instant? in
      if case .waiting(let until) = job.stage, tasks[task] != nil { until } else { nil }
    }
    let retries = failures.values.filter { $0.count < Self.patience && $0.until > now }.map(\.until)
    return (starts + retries).min()
  }

  /// Everything that the participant owes its coordinator. Read on every connect and when the coordinator's session changes.
  package func owed() -> [Effect] {
    var effects: [Effect] = []
    for task in Set(tasks.keys).union(jobs.keys).sorted() {
      if let job = jobs[task] {
        switch job.stage {
        case .asking: effects.append(.ask(job))
        case .uploading: effects.append(.upload(job))
        case .waiting, .training, .delivered: break
        }
      }
      if let status = said[task], tasks[task]?.state.isFinal != true {
        effects.append(.status(status, lasting: true))
      } else if tasks[task]?.state == .open {
        effects.append(.check(task))
      }
    }
    return effects
  }
}
