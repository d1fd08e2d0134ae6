import MusterSchema
import Testing

@testable import MusterCoordination

// Central and the regions: what their shells do with the effects of their machines.
extension World {
  // MARK: Central

  func tell(_ event: Coordinator.Event, _ label: String = "event") {
    guard let (records, effects) = central.handle(event, at: time) else {
      if !central.isUp { crashCentral() }
      return
    }
    for record in records { note("central commits \(text(record))") }
    if checksReplay, !records.isEmpty { checkReplay(central) { $0 } }
    for effect in effects { perform(effect) }
    progressed(central, label)
    arm(central) { self.tell(.tick, "tick") }
  }

  private func perform(_ effect: Coordinator.Effect) {
    let life = central.life
    func later(_ milliseconds: Int64, _ event: @escaping () -> Coordinator.Event) {
      after(milliseconds) { if self.central.isUp, self.central.life == life { self.tell(event()) } }
    }
    switch effect {
    case .initialize(let task):
      later(50) { .initialized(task, ModelReference(digest: Self.digest("\(task)/0"), bytes: 1000)) }
    case .aggregate(let task, let round):
      let accepted = central.machine.tasks[task]?.train?.accepted.keys.sorted() ?? []
      let refused = accepted.compactMap { path in refusesUpdates(path).map { Waiting(node: path.description, reason: $0) } }
      let names = accepted.map(\.description).joined(separator: ",")
      later(100) {
        .aggregated(task, round: round, ModelReference(digest: Self.digest("\(task)/\(round)/\(names)"), bytes: 1000), refused: refused)
      }
    case .evaluate(let task, let round): later(50) { .evaluated(task, round: round, metrics: self.metrics(round)) }
    case .answer(let reply, let answer): replies.removeValue(forKey: reply.number)?(answer)
    case .publish, .roundChanged, .invite, .clear, .standingChanged, .consult, .collect, .deliver, .giveUp:
      topics(effect, central.machine, .central)
    }
  }

  /// What any coordinator does on topics.
  private func topics(_ effect: Coordinator.Effect, _ machine: Coordinator, _ endpoint: Endpoint) {
    switch effect {
    case .publish(let descriptor): send(descriptor, .task(coordinator: machine.id, task: descriptor.task), from: endpoint)
    case .invite(let node, let invitation):
      send(invitation, .invitation(coordinator: machine.id, node: node, task: invitation.task), retained: false, from: endpoint)
    case .roundChanged(let task):
      // The window for people: nobody in here reads it, but it has to fit.
      if let state = machine.roundState(task) {
        do { _ = try MessageCoder.encode(state) } catch { Issue.record("\(machine.id): the round's window: \(error)") }
      }
    case .clear(let topic): clear(topic, from: endpoint)
    default: break
    }
  }

  func crashCentral() {
    central.die()
    replies = [:]
    disconnect(.central)
    if let restartsAfter { after(restartsAfter) { self.startCentral() } }
  }

  func startCentral() {
    central.start(at: time)
    connect(.central)
    arm(central) { self.tell(.tick, "tick") }
  }

  // MARK: The ledgers' routes

  /// The ledger that an upload address names; nil: it is down.
  private func ledger(at upload: String) -> (name: NodeID, machine: Coordinator)? {
    let host = upload.split(separator: "/").dropFirst().first?.split(separator: ":").first.flatMap { NodeID(rawValue: String($0)) }
    guard let host else { return nil }
    if host == .central { return central.isUp ? (host, central.machine) : nil }
    return regions[host].flatMap { $0.isUp ? (host, $0.machine.coordinator) : nil }
  }

  /// Uploads until there is an answer.
  func upload(_ job: Job, while isWanted: @escaping () -> Bool, report: @escaping (Participant.Event) -> Void) {
    after(10) {
      guard isWanted(), let result = job.result else { return }
      self.put(job.invitation, result) { answer in
        guard isWanted() else { return }
        guard let answer else {
          self.after(500) { if isWanted() { self.upload(job, while: isWanted, report: report) } }
          return
        }
        switch answer {
        case .stored, .same, .conflict: report(.delivered(job.task, job.key))
        case .closed(let reason): report(.refused(job.task, job.key, reason: reason))
        case .unknown: report(.forget(job.task))
        }
      }
    }
  }

  /// `PUT …/updates/{path}`; nil: no answer.
  private func put(_ invitation: Invitation, _ result: JobResult, _ done: @escaping (Coordinator.Answer?) -> Void) {
    let parts = invitation.upload.split(separator: "/")
    guard parts.count > 8, let round = Int(parts[6]), let path = NodePath(parts[8...].compactMap { NodeID(rawValue: String($0)) }),
      let task = TaskID(rawValue: String(parts[4]))
    else {
      Issue.record("\(invitation.upload) is no upload address")
      return
    }
    #expect(task == invitation.task && round == invitation.round)
    guard let ledger = ledger(at: invitation.upload) else { return done(nil) }
    let phase: Phase = parts[7] == "updates" ? .train : .evaluate
    // A region that aggregates sends one for all of its devices.
    let count =
      path.nodes.count == 1 ? path.nodes.first.flatMap { regions[$0]?.machine.coordinator.tasks[task]?.train?.accepted.count } : nil
    let contribution = ContributionRecord(
      path: path, digest: result.digest, weight: 10 * Double(count ?? 1), bytes: result.bytes, count: count, metrics: ["accuracy": 0.5])
    let reply = nextReply { answer in
      if answer == .stored { self.promised.append((ledger.name, task, round, phase, contribution)) }
      self.after(5) { done(answer) }
    }
    after(1000) { if self.replies.removeValue(forKey: reply.number) != nil { done(nil) } }
    let event = Coordinator.Event.contribution(task, round: round, phase: phase, contribution, reply: reply)
    if ledger.name == .central { tell(event) } else { tell(ledger.name, .below(event)) }
  }

  /// Whether the ledger still wants the work; asked until there is an answer.
  func ask(_ job: Job, _ done: @escaping (Participant.Event) -> Void) {
    let (task, key) = (job.task, job.key)
    after(20) {
      guard let ledger = self.ledger(at: job.invitation.upload)?.machine else { return self.after(500) { self.ask(job, done) } }
      guard let run = ledger.tasks[task] else { return done(.forget(task)) }
      let path = NodePath(job.invitation.upload.split(separator: "/").dropFirst(8).compactMap { NodeID(rawValue: String($0)) })
      if path.map({ run.accepted(round: key.round, phase: key.phase, path: $0) != nil }) ?? false {
        done(.delivered(task, key))
      } else if let why = ledger.refusal(run, round: key.round, phase: key.phase) {
        done(.refused(task, key, reason: why))
      } else {
        done(.confirmed(task, key))
      }
    }
  }

  private func ledger(_ task: TaskID, _ key: RoundKey) -> PhaseLedger? {
    guard central.isUp, let run = central.machine.tasks[task] else { return nil }
    let phase = key.phase == .train ? run.train : run.evaluation
    return PhaseLedger(
      task: task, round: key.round, phase: key.phase, open: central.machine.refusal(run, round: key.round, phase: key.phase) == nil,
      accepted: phase?.key.round == key.round ? phase?.accepted.keys.sorted() ?? [] : [])
  }

  // MARK: Regions

  func tell(_ region: NodeID, _ event: RegionMachine.Event, _ label: String = "event") {
    guard let host = regions[region] else { return }
    guard let (records, effects) = host.handle(event, at: time) else {
      if !host.isUp { crash(region) }
      return
    }
    for record in records { note("\(region) commits \(text(record))") }
    if checksReplay, !records.isEmpty { checkReplay(host, \.coordinator) }
    let life = host.life
    for effect in effects {
      switch effect {
      case .status(let status, _): send(status, .nodeStatus(coordinator: .central, node: region, task: status.task), from: .above(region))
      case .ask(let job):
        ask(job) { answer in if host.life == life, host.isUp { self.tell(region, .above(answer)) } }
      case .upload(let job):
        upload(
          job, while: { host.isUp && host.life == life && host.machine.participant.jobs[job.task]?.isSameWork(as: job.key) == true },
          report: { self.tell(region, .above($0)) })
      case .below(.aggregate(let task, let round)):
        guard let phase = host.machine.coordinator.tasks[task]?.train else { continue }
        let names = phase.accepted.keys.sorted().map(\.description).joined(separator: ",")
        let refused = phase.accepted.keys.sorted().compactMap { path in
          refusesUpdates(path).map { Waiting(node: path.description, reason: $0) }
        }
        let result = JobResult(file: "combined", digest: Self.digest("\(task)/\(round)/\(phase.key.phase)/\(names)"), bytes: 100)
        after(100) {
          guard host.life == life, host.isUp else { return }
          self.tell(region, .below(.combined(task, phase.key, Combined(result: result, refused: refused))))
        }
      case .below(.answer(let reply, let answer)): replies.removeValue(forKey: reply.number)?(answer)
      case .below(.consult(let task)):
        after(20) {
          guard host.life == life, host.isUp, let key = host.machine.coordinator.tasks[task]?.train?.key,
            let ledger = self.ledger(task, key)
          else { return }
          self.tell(region, .below(.ledger(ledger)))
        }
      case .below(let effect): topics(effect, host.machine.coordinator, .below(region))
      }
    }
    progressed(host, label)
    arm(host) { self.tell(region, RegionMachine.Event.tick, "tick") }
  }

  func crash(_ region: NodeID) {
    regions[region]?.die()
    disconnect(.above(region))
    disconnect(.below(region))
    if let restartsAfter { after(restartsAfter) { self.start(region) } }
  }

  func start(_ region: NodeID) {
    guard let host = regions[region] else { return }
    host.start(at: time)
    connect(.below(region))
    connect(.above(region))
    arm(host) { self.tell(region, RegionMachine.Event.tick, "tick") }
  }
}
