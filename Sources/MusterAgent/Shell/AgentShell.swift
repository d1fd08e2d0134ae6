import Logging
import MusterGround
import MusterMQTT
import MusterParticipation
import MusterSchema
import MusterTrainers
import Synchronization

/// Runs the device's `Participant`: takes events, commits its records to the journal, then performs its effects.
///
/// The actor's own queue is the mailbox, and each event is one uninterrupted step. Nothing in a step waits: work that takes time becomes an
/// step for the worker.
actor AgentShell {
  private(set) var machine: Participant
  private var journal: Journal
  private let clock: AgentClock
  private let configuration: AgentConfiguration
  private let probe: ResourceProbe
  private let presence: Presence
  private let logger: Logger
  private let capabilities: Capabilities

  nonisolated let steps = JobSteps()
  nonisolated let alarm = Alarm()
  /// Rung when the coordinator publishes its state, which holds its data address.
  nonisolated let coordinatorHeard = Bell()
  /// Rung when the coordinator's list of tasks should be compared.
  nonisolated let listWanted = Bell()
  /// Rung when results and journal should be flushed to the disk.
  nonisolated let secureDue = Bell()
  nonisolated let folders: JobFolders

  private var seen: (resources: Resources, at: ContinuousClock.Instant)?
  private var published: Resources?
  private var publishedPolicy: DevicePolicy?
  private var nextProbe: ContinuousClock.Instant
  private var progress: [TaskID: (last: ContinuousClock.Instant, waiting: NodeStatus?)] = [:]
  /// Ended tasks whose descriptors are still remembered. Older ones are forgotten, because they would fill the memory over the years.
  private var ended: [TaskID] = []
  private static let endedKept = 64
  private var journalFails = false
  /// The time at which the journal is to be flushed to the disk; `nil` when nothing has to be flushed.
  private var secureAt: ContinuousClock.Instant?
  private var listening: Listening?
  /// The complaints about this region's silence that were logged and still hold.
  private var complaints: [String] = []
  private static let secureAfter = Duration.seconds(1)

  init(
    _ configuration: AgentConfiguration, journal: Journal, presence: Presence, folders: JobFolders, logger: Logger
  ) {
    self.configuration = configuration
    self.journal = journal
    self.presence = presence
    self.folders = folders
    self.logger = logger
    machine = Participant(id: configuration.id, coordinator: configuration.region, capacity: 1, restoring: journal.records)
    clock = AgentClock(resuming: journal.at)
    probe = ResourceProbe(proc: configuration.probe.proc, sys: configuration.probe.sys, folder: configuration.state)
    let allowed = configuration.policy.trainers.map { Set($0) }
    capabilities = Capabilities(of: configuration.trainers.filter { allowed?.contains($0.key) ?? true })
    nextProbe = .now + .seconds(configuration.probe.seconds)
    alarm.set(nextProbe)
  }

  // MARK: Queries of the worker

  /// The current state of a job; `nil` when the job is no longer wanted.
  func job(_ task: TaskID, _ key: RoundKey) -> Job? { machine.jobs[task].flatMap { $0.isSameWork(as: key) ? $0 : nil } }
  func descriptor(_ task: TaskID) -> TaskDescriptor? { machine.tasks[task] }
  /// The first of the task's trainers that this device has and that fits the model.
  func trainer(for descriptor: TaskDescriptor) -> String? {
    if case .trainer(let name) = Admission.choice(of: descriptor.trainer, for: descriptor.model, from: capabilities) { name } else { nil }
  }
  /// Whether a trainer executes training steps. A trainer that does not announce its models is assumed to.
  func runsSteps(_ trainer: String, _ step: TrainingStep) -> Bool {
    capabilities.models?[trainer]?.contains { $0.hasPrefix("step:") } ?? true
  }
  var dataAddress: String? { machine.coordinatorState?.data }
  var openTasks: [TaskID] { machine.tasks.values.filter { !$0.state.isFinal }.map(\.task).sorted() }
  var jobs: [Job] { machine.jobs.values.sorted { $0.task < $1.task } }

  /// Flushes the journal to the disk, because a result will have to wait for its delivery. Does not run on the cooperative pool.
  func secureJournal() async {
    secureAt = nil
    let path = journal.path
    do throws(FileError) {
      try await offloadLong { () throws(FileError) in try Journal.flush(path) }
    } catch {
      logger.warning("the journal cannot be flushed to the disk, so a loss of power may lose its last records: \(error)")
    }
  }

  // MARK: Steps

  func receive(_ event: Participant.Event) {
    var events = [event]
    while !events.isEmpty {
      let now = clock.now
      let (records, effects) = machine.handle(events.removeFirst(), at: now)
      if !records.isEmpty { commit(records, at: now) }
      for effect in effects { perform(effect).map { events.append($0) } }
    }
    setAlarm()
  }

  private func commit(_ records: [Participant.Record], at now: Instant) {
    do {
      try journal.commit(records, at: now)
      journalFails = false
      // Flush once a second at most, so a loss of power costs the records of the last second.
      secureAt = machine.jobs.isEmpty ? nil : secureAt ?? .now + Self.secureAfter
    } catch {
      // The agent continues without the journal. See Journal for the cost of a lost record.
      if !journalFails { logger.error("the journal cannot be written; after a restart, work may be done twice: \(error)") }
      journalFails = true
    }
  }

  /// - Returns: an event that must be handled next.
  private func perform(_ effect: Participant.Effect) -> Participant.Event? {
    switch effect {
    case .status(let status, let lasting): publish(status, lasting: lasting)
    case .announce: publishState(look())
    case .check(let task): return .readiness(task, readiness(task))
    case .start(let job):
      logger.info("the device takes part", metadata: metadata(job.task, job.key))
      steps.place(.train, job)
    case .upload(let job): steps.place(.upload, job)
    case .ask(let job): steps.place(.ask, job)
    case .cancel(let task, let key, let reason):
      logger.info("the device drops its work: \(reason)", metadata: metadata(task, key))
      if !steps.cancel(task, key) { folders.remove(task, key) }
    case .descriptor(let descriptor):
      guard descriptor.state.isFinal else { return nil }
      folders.forget(descriptor.task)
      ended.append(descriptor.task)
      if ended.count > Self.endedKept { return .forget(ended.removeFirst()) }
    }
    return nil
  }

  private func metadata(_ task: TaskID, _ key: RoundKey) -> Logger.Metadata {
    ["task.id": "\(task)", "round": "\(key.round)", "phase": "\(key.phase.rawValue)", "attempt": "\(key.attempt)"]
  }

  // MARK: Messages

  /// Publishes the birth on a new connection, and everything that is owed.
  func connected(_ number: Int) {
    presence.begin(number)
    listening = Listening(from: .now)
    publishState(look())
    receive(.connected)
    listWanted.ring()
  }

  func received(_ message: MQTTMessage) {
    do throws(MessageError) {
      let topic: Topic
      do {
        topic = try Topic(parsing: message.topic)
      } catch {
        throw .malformed("\(error)")
      }
      // A cleared topic has no meaning of its own. The coordinator's list shows which tasks it still has.
      guard !message.payload.isEmpty || topic == presence.topic else {
        if case .task(machine.coordinator, let task) = topic, machine.tasks[task]?.state.isFinal == false { listWanted.ring() }
        return
      }
      switch topic {
      case presence.topic:
        listening?.hear(own: true)
        if presence.judge(message) == .publishBirth { publishState(look()) }
      case .coordinatorState(machine.coordinator):
        let state = try MessageCoder.decode(CoordinatorState.self, from: message.payload)
        try check(state.coordinator == machine.coordinator)
        heardRegion()
        let isNew = state.session != machine.coordinatorState?.session
        receive(.coordinator(state))
        coordinatorHeard.ring()
        if isNew { listWanted.ring() }
      case .task(machine.coordinator, let task):
        let descriptor = try MessageCoder.decode(TaskDescriptor.self, from: message.payload)
        try check(descriptor.task == task)
        receive(.descriptor(descriptor))
      case .invitation(machine.coordinator, machine.id, let task):
        let invitation = try MessageCoder.decode(Invitation.self, from: message.payload)
        try check(invitation.task == task)
        if machine.tasks[task] != nil { receive(.readiness(task, readiness(task))) }
        receive(.invitation(invitation))
      default: return
      }
    } catch {
      presence.drops.note("\(error)", topic: message.topic.prefix(120).description.withoutControlCharacters)
    }
  }

  private func heardRegion() {
    listening?.hear(own: false)
    guard !complaints.isEmpty else { return }
    complaints = []
    logger.notice("messages from the region arrive now", metadata: ["region": "\(machine.coordinator)"])
  }

  private func judgeSilence() {
    guard let listening else { return }
    self.listening = nil
    let found = listening.complaints(id: machine.id, region: machine.coordinator, user: configuration.broker.username)
    // A complaint that was logged on the previous connection is not logged again.
    for complaint in found where !complaints.contains(complaint) { logger.warning("\(complaint)") }
    complaints = found
  }

  private func check(_ holds: Bool) throws(MessageError) {
    guard holds else { throw .malformed("its content belongs to another topic") }
  }

  /// Forgets the tasks and jobs that were known before the question and are not in the coordinator's list.
  func compare(_ listed: Set<TaskID>, jobsBefore: [Job], tasksBefore: [TaskID]) {
    for task in tasksBefore where !listed.contains(task) && machine.tasks[task]?.state.isFinal == false { receive(.forget(task)) }
    for job in jobsBefore where !listed.contains(job.task) && self.job(job.task, job.key) != nil { receive(.forget(job.task)) }
  }

  // MARK: Readiness

  private func readiness(_ task: TaskID) -> Readiness {
    guard let descriptor = machine.tasks[task] else { return .declined("does not know the task") }
    if case .other(let name) = descriptor.encoding {
      return .declined("does not know the encoding \"\(name.withoutControlCharacters.prefix(60))\"")
    }
    let resources = look()
    let destination = descriptor.upload == .central ? descriptor.central : machine.coordinatorState?.data
    if let refusal = configuration.policy.refusal(
      trainer: descriptor.trainer, uploadsTo: destination, resources: resources, minute: LocalTime.minute)
    {
      return .declined(refusal.reason, retrySeconds: refusal.retrySeconds)
    }
    if let why = Admission.mismatch(descriptor, node(resources)) { return .declined(why) }
    return Readiness(devices: 1, trainer: trainer(for: descriptor))
  }

  private func look() -> Resources {
    if let seen, .now - seen.at < .milliseconds(200) { return seen.resources }
    let resources = probe.look()
    seen = (resources, .now)
    return resources
  }

  private func node(_ resources: Resources, online: Bool = true) -> NodeState {
    NodeState(
      node: configuration.id, online: online, session: presence.session, nodeKind: .device, labels: configuration.labels,
      capabilities: capabilities, resources: resources,
      policy: configuration.policy.announcement(resources: resources, minute: LocalTime.minute))
  }

  private func publishState(_ resources: Resources) {
    let state = node(resources)
    (published, publishedPolicy) = (resources, state.policy)
    presence.publish(state)
  }

  /// Whether the published state still describes the device accurately enough.
  private func isPublished(_ resources: Resources) -> Bool {
    guard let published, !resources.differsNoticeably(from: published) else { return false }
    let policy = configuration.policy.announcement(resources: resources, minute: LocalTime.minute)
    return (policy?.declines == nil) == (publishedPolicy?.declines == nil)
  }

  /// Publishes that the device is offline, before the connection is closed in order.
  func farewell() {
    presence.publish(NodeState(node: configuration.id, online: false, session: presence.session, reason: Farewell.stopped))
  }

  // MARK: Time

  /// Does everything that is due. Called when the alarm rings.
  func wake() {
    if let deadline = machine.nextDeadline, deadline <= clock.now { receive(.tick) }
    let now = ContinuousClock.now
    if now >= nextProbe {
      nextProbe = now + .seconds(configuration.probe.seconds)
      let resources = look()
      if !isPublished(resources) { publishState(resources) }
      for task in machine.tasks.keys.sorted() where machine.tasks[task]?.state == .open { receive(.readiness(task, readiness(task))) }
    }
    if let secureAt, now >= secureAt {
      self.secureAt = nil
      secureDue.ring()
    }
    if let listening, now >= listening.until { judgeSilence() }
    for (task, entry) in progress {
      guard let status = entry.waiting, now >= entry.last + Self.progressInterval else { continue }
      progress[task] = (now, nil)
      presence.publish(status, lasting: false)
    }
    setAlarm()
  }

  /// Flushes small results and the journal to the disk. Runs in a task of its own, so that a slow disk delays nothing else.
  func secure() async {
    await secureResults()
    await secureJournal()
  }

  private func secureResults() async {
    for job in machine.jobs.values {
      // A large result is secured before its upload begins. Here it would delay the others.
      guard let result = job.result, result.bytes <= JobWorker.partBytes else { continue }
      let folder = folders.job(job.task, job.key)
      do throws(FileError) {
        try await offloadLong { () throws(FileError) in try ContributionBody.secure(result, in: folder) }
      } catch {
        // The result may just have been delivered and removed.
        logger.debug("a result cannot be flushed to the disk: \(error)")
      }
    }
  }

  private func setAlarm() {
    let deadline = machine.nextDeadline.map { clock.time(of: $0) }
    let waiting = progress.values.compactMap { $0.waiting == nil ? nil : $0.last + Self.progressInterval }.min()
    alarm.set([nextProbe, deadline, waiting, secureAt, listening?.until].compactMap(\.self).min() ?? nextProbe)
  }

  // MARK: Statuses

  private static let progressInterval = Duration.seconds(1)

  /// Publishes a status. Of progress, only the newest is published, once a second. Any other status is published at once and replaces
  /// progress that waits.
  private func publish(_ status: NodeStatus, lasting: Bool) {
    let now = ContinuousClock.now
    guard !lasting else {
      progress[status.task] = status.state == .training ? (now, nil) : nil
      log(status)
      return presence.publish(status, lasting: true)
    }
    if let last = progress[status.task]?.last, now < last + Self.progressInterval {
      progress[status.task] = (last, status)
    } else {
      progress[status.task] = (now, nil)
      presence.publish(status, lasting: false)
    }
  }

  private func log(_ status: NodeStatus) {
    let level: Logger.Level = [.declined, .failed, .done].contains(status.state) ? .info : .debug
    var metadata: Logger.Metadata = ["task.id": "\(status.task)"]
    if let key = status.key { metadata["round"] = "\(key.round)" }
    logger.log(level: level, "\(status.state.rawValue)\(status.reason.map { ": \($0)" } ?? "")", metadata: metadata)
  }
}
