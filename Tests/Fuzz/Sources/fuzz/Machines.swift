import MusterCoordination
import MusterParticipation
import MusterSchema

/// What a central, a region and a device make of any sequence of messages, and of the time between them: a line each. A line is a place and
/// a message: `c` what central hears, `a` what the region hears from above, `b` from its devices, `d` what the device hears; `t` and
/// a digit lets time pass; `u` lets a device's update arrive.
func machines(_ input: ArraySlice<UInt8>) {
  var world = input.first == UInt8(ascii: "r") ? Machines.aggregating : .plain
  for (number, line) in input.dropFirst().split(separator: UInt8(ascii: "\n")).prefix(64).enumerated() {
    guard let place = line.first else { continue }
    world.play(place, line.dropFirst())
    if number % 8 == 7 { world.look() }
  }
  world.now = world.now.advanced(bySeconds: 1e6)
  world.play(UInt8(ascii: "t"), [UInt8(ascii: "9")])
  world.look()
}

private struct Machines {
  static let plain = Machines(upload: .central)
  static let aggregating = Machines(upload: .region)

  var central: Coordinator
  var region: RegionMachine
  var device: Participant
  var now = Instant.zero
  private var replies: UInt64 = 0

  init(upload: UploadTarget) {
    let configuration = CoordinatorConfiguration(data: "http://127.0.0.1:7400", declared: [Examples.north])
    central = Coordinator(id: .central, configuration: configuration)
    region = RegionMachine(id: Examples.north, above: .central, configuration: CoordinatorConfiguration(data: "http://127.0.0.1:7410"))
    device = Participant(id: Examples.pi, coordinator: Examples.north, capacity: 1)
    var task = Examples.specification
    task.upload = upload
    _ = central.handle(.accept(Examples.task, task), at: now)
    _ = central.handle(.initialized(Examples.task, ModelReference(digest: Examples.digest, bytes: 79016)), at: now)
    _ = central.handle(.node(Examples.birth(Examples.north, .region)), at: now)
    _ = region.handle(.above(.descriptor(Examples.descriptor(task))), at: now)
    _ = region.handle(.below(.node(Examples.birth(Examples.pi, .device))), at: now)
    _ = device.handle(.descriptor(Examples.descriptor(task)), at: now)
    _ = device.handle(.readiness(Examples.task, .ready), at: now)
  }

  mutating func play(_ place: UInt8, _ bytes: ArraySlice<UInt8>) {
    switch place {
    case UInt8(ascii: "c"):
      if let state = read(NodeState.self, bytes) { tell(.node(state)) }
      if let status = read(NodeStatus.self, bytes) { tell(.status(status)) }
    case UInt8(ascii: "a"):
      if let state = read(CoordinatorState.self, bytes) { tell(.above(.coordinator(state))) }
      if let descriptor = read(TaskDescriptor.self, bytes) { tell(.above(.descriptor(descriptor))) }
      if let invitation = read(Invitation.self, bytes) { tell(.above(.invitation(invitation))) }
    case UInt8(ascii: "b"):
      if let state = read(NodeState.self, bytes) { tell(.below(.node(state))) }
      if let status = read(NodeStatus.self, bytes) { tell(.below(.status(status))) }
    case UInt8(ascii: "d"):
      if let state = read(CoordinatorState.self, bytes) { say(device.handle(.coordinator(state), at: now).effects) }
      if let descriptor = read(TaskDescriptor.self, bytes) { say(device.handle(.descriptor(descriptor), at: now).effects) }
      if let invitation = read(Invitation.self, bytes) { say(device.handle(.invitation(invitation), at: now).effects) }
    case UInt8(ascii: "t"):
      now = now.advanced(bySeconds: Double(1 << (bytes.first.map { Int($0 & 15) } ?? 0)) / 4)
      tell(Coordinator.Event.tick)
      tell(RegionMachine.Event.tick)
      say(device.handle(.tick, at: now).effects)
    case UInt8(ascii: "u"): upload()
    default: return
    }
  }

  private func read<M: Message>(_: M.Type, _ bytes: ArraySlice<UInt8>) -> M? { try? MessageCoder.decode(M.self, from: bytes) }

  private mutating func upload() {
    guard let train = central.tasks[Examples.task], let path = NodePath([Examples.north, Examples.pi]) else { return }
    replies += 1
    let record = ContributionRecord(path: path, digest: Examples.digest, weight: 10, bytes: 100, metrics: ["loss": 1])
    tell(.contribution(Examples.task, round: train.round, phase: .train, record, reply: .init(replies)))
  }

  private mutating func tell(_ event: Coordinator.Event) { say(central.handle(event, at: now).effects) }

  private mutating func tell(_ event: RegionMachine.Event) {
    for effect in region.handle(event, at: now).effects {
      switch effect {
      case .status(let status, _): requireFits(status)
      case .below(let effect): say([effect])
      case .ask, .upload, .announce: break
      }
    }
  }

  // MARK: - What they say fits its topic

  private func say(_ effects: [Coordinator.Effect]) {
    for effect in effects {
      switch effect {
      case .publish(let descriptor): requireFits(descriptor)
      case .invite(_, let invitation): requireFits(invitation)
      default: break
      }
    }
  }

  private func say(_ effects: [Participant.Effect]) {
    for effect in effects { if case .status(let status, _) = effect { requireFits(status) } }
  }

  private func requireFits(_ message: some Message) {
    do {
      _ = try MessageCoder.encode(message)
    } catch {
      fail("a machine says what does not fit its topic: \(error)")
    }
  }

  /// What is shown of them, and what they owe.
  func look() {
    for machine in [central, region.coordinator] {
      require(machine.nextDeadline.map { $0.milliseconds >= 0 } ?? true, "a deadline before the beginning of time")
      say(machine.owed())
      for task in machine.tasks.keys.sorted() {
        if let state = machine.roundState(task) { requireFits(state) }
        if let explanation = machine.explanation(task) { requireFitForLogs(explanation.sentence) }
        _ = machine.summary(task)
      }
    }
    say(device.owed())
    _ = (region.nextDeadline, device.nextDeadline)
  }
}

func machineSeeds() throws -> [[UInt8]] {
  func line<M: Message>(_ place: String, _ message: M) throws -> [UInt8] {
    Array(place.utf8) + (try MessageCoder.encode(message)) + Array("\n".utf8)
  }
  let time = Array("t4\n".utf8)
  let (north, pi) = (Examples.north, Examples.pi)
  let round =
    try line("c", Examples.status(north, .ready, devices: 3)) + time
    + line("c", Examples.status(north, .recruiting, round: 1, devices: 3, have: 2)) + Array("u\n".utf8) + time
    + line("c", Examples.status(north, .short, round: 1, devices: 1, have: 1)) + time + Array("t9\n".utf8)
  let scouting =
    try line("a", Examples.invitation(quota: 2)) + line("b", Examples.status(pi, .ready, devices: 1)) + time
    + line("b", Examples.status(pi, .training, round: 1, progress: 0.5)) + line("b", Examples.status(pi, .done, round: 1)) + time
    + line("b", NodeState(node: pi, online: false, session: "a1")) + line("a", Examples.descriptor(state: .cancelled))
  let device =
    try line("d", CoordinatorState(coordinator: north, online: true, session: "5f")) + line("d", Examples.invitation()) + time
    + line("d", Examples.invitation(round: 2, phase: .evaluate)) + line("d", Examples.descriptor(state: .closed))
  return [round, scouting, device].flatMap { [Array("c\n".utf8) + $0, Array("r\n".utf8) + $0] }
}
