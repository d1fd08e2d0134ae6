import MusterMQTT
import MusterParticipation
import MusterSchema

extension DeviceLoop {
  /// Handles a message for a device, as the agent's shell does. A payload that cannot be decoded ends the run, because all programs here
  /// have the same version.
  func received(_ message: MQTTMessage, at index: Int) throws {
    let topic = try Topic(parsing: message.topic)
    switch topic {
    case .coordinatorState:
      guard !message.payload.isEmpty else { return }
      try receive(.coordinator(decoded(message, &states)), at: index)
    case .task(_, let task):
      guard !message.payload.isEmpty else { return }
      try described(decoded(message, &descriptors), task, at: index)
    case .invitation(_, _, let task): try invited(MessageCoder.decode(Invitation.self, from: message.payload), task, at: index)
    case .nodeState: try judge(message, at: index)
    case .nodeStatus, .round: return
    }
  }

  /// Decodes a message. Thousands of devices read the same bytes, so the last payload of each topic is decoded only once.
  private func decoded<M: Message>(_ message: MQTTMessage, _ cache: inout [String: (payload: [UInt8], value: M)]) throws -> M {
    if let last = cache[message.topic], last.payload == message.payload { return last.value }
    let value = try MessageCoder.decode(M.self, from: message.payload)
    cache[message.topic] = (message.payload, value)
    return value
  }

  private func described(_ descriptor: TaskDescriptor, _ task: TaskID, at index: Int) throws {
    if task == configuration.task {
      if measures.described[index] == nil {
        measures.described[index] = .now
        progress.described += 1
      }
      if descriptor.state.isFinal, !hasEnded {
        hasEnded = true
        link.report.yield(.ended(descriptor.end, reason: descriptor.reason ?? ""))
      }
    }
    try receive(.descriptor(descriptor), at: index)
  }

  private func invited(_ invitation: Invitation, _ task: TaskID, at index: Int) throws {
    var invitation = invitation
    if !configuration.spreads { invitation.startWithin = 0 }
    if task == configuration.task { measure(invitation.key, at: index) }
    if devices[index].participant.tasks[task] != nil { try receive(.readiness(task, LoadDevice.readiness), at: index) }
    try receive(.invitation(invitation), at: index)
  }

  private func measure(_ key: RoundKey, at index: Int) {
    let now = ContinuousClock.now
    if measures.rounds[key.phase]?[key.round] == nil {
      measures.rounds[key.phase, default: [:]][key.round] = RoundMeasure(began: now)
      if key.phase == .train { (progress.round, progress.invited, progress.delivered) = (key.round, 0, 0) }
      link.report.yield(.began(round: key.round, key.phase))
    }
    let isRepeated = devices[index].lastKey == key
    devices[index].lastKey = key
    change(key) { round in
      round.invitations += 1
      if isRepeated { round.repeated += 1 }
      if round.invited[index] == nil {
        round.invited[index] = now
        if key.phase == .train { progress.invited += 1 }
      }
    }
  }

  /// Changes the measurements of a round in place.
  func change(_ key: RoundKey, _ body: (inout RoundMeasure) -> Void) {
    guard measures.rounds[key.phase]?[key.round] != nil else { return }
    body(&measures.rounds[key.phase, default: [:]][key.round, default: RoundMeasure(began: .now)])
  }

  /// Handles a message on the device's own state topic. A late Will of its previous connection is answered with the birth.
  private func judge(_ message: MQTTMessage, at index: Int) throws {
    guard let watch = devices[index].watch else { return }
    guard !message.payload.isEmpty else { return try announce(index) }
    let state = try MessageCoder.decode(NodeState.self, from: message.payload)
    switch watch.action(online: state.online, session: state.session, retained: message.retained) {
    case .none: return
    case .publishBirth: try announce(index)
    case .duplicate: throw LoadError.system("another program is online as \(devices[index].path)")
    }
  }

  /// Runs one step of a device's machine, and the steps that follow from it at once.
  func receive(_ event: Participant.Event, at index: Int) throws {
    var events = [event]
    while let event = events.popLast() {
      let (_, effects) = devices[index].participant.handle(event, at: instant())
      for effect in effects {
        if let next = try perform(effect, at: index) { events.insert(next, at: 0) }
      }
    }
    setAlarm(index)
  }

  private func setAlarm(_ index: Int) {
    guard let deadline = devices[index].participant.nextDeadline, deadline != devices[index].alarm else { return }
    devices[index].alarm = deadline
    timers.add(.tick(index), due: .now + .seconds(max(0, deadline.seconds(since: instant()))))
  }

  /// - Returns: an event that must be handled next.
  private func perform(_ effect: Participant.Effect, at index: Int) throws -> Participant.Event? {
    let device = devices[index]
    switch effect {
    case .status(let status, let lasting):
      let topic = Topic.nodeStatus(coordinator: device.region, node: device.id, task: status.task)
      try crowd.publish(MQTTMessage(topic, status, lasting: lasting), from: index)
    case .announce: try announce(index)
    case .check(let task): return .readiness(task, LoadDevice.readiness)
    case .start(let job):
      guard let address = device.participant.coordinatorState?.data else {
        return .failed(job.task, job.key, reason: "the region has not published the address of its models")
      }
      place(Transfer(kind: .fetch(from: address), job: job, device: index, path: device.path))
    case .upload(let job): place(Transfer(kind: .upload, job: job, device: index, path: device.path))
    // Nothing has to be stopped: the result of a transfer for a dropped job is ignored.
    case .cancel: devices[index].transfer = nil
    // Devices do not restart here, so none has to ask its ledger, and none passes descriptors on.
    case .ask, .descriptor: break
    }
    return nil
  }
}
