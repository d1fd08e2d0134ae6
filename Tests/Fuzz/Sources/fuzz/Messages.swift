import MusterSchema

/// The payload of a topic, as each kind of message.
func messages(_ input: ArraySlice<UInt8>) {
  decode(CoordinatorState.self, input)
  decode(NodeState.self, input)
  decode(NodeStatus.self, input)
  decode(Invitation.self, input)
  decode(RoundState.self, input)
  decode(TaskDescriptor.self, input)
}

private func decode<M: Message>(_: M.Type, _ input: ArraySlice<UInt8>) {
  let message: M
  do {
    message = try MessageCoder.decode(M.self, from: input)
  } catch {
    requireFitForLogs("\(error)")
    return
  }
  requireSame(message)
}

/// What was read can be written, unless it is too long then, and is the same when it is read again.
func requireSame<M: Message>(_ message: M) {
  let bytes: [UInt8]
  do {
    bytes = try MessageCoder.encode(message)
  } catch {
    // Numbers may be longer as we write them, and what was left out is said.
    guard case .tooLarge = error else { fail("a message that was read cannot be written: \(error)") }
    return
  }
  require(bytes.starts(with: Array("{\"kind\":\"\(M.kind)\"".utf8)), "kind does not come first")
  require(bytes.count <= MessageCoder.maximumBytes && bytes.allSatisfy { $0 >= 0x20 }, "a message is not one line of 4 KiB at most")
  do {
    let again = try MessageCoder.decode(M.self, from: bytes)
    require(again == message, "a message is read as another: \(String(decoding: bytes, as: UTF8.self))")
    require(try MessageCoder.encode(again) == bytes, "the same message is other bytes: \(String(decoding: bytes, as: UTF8.self))")
  } catch {
    fail("a message that was written cannot be read: \(error)")
  }
}

func messageSeeds() throws -> [[UInt8]] {
  try Examples.messages.map { try $0() }
}

/// Valid examples, for seeds and for the beginnings of the machines.
enum Examples {
  static let digest = Digest(of: Array("abc".utf8))
  static let (north, pi, task) = (NodeID(unchecked: "north"), NodeID(unchecked: "pi-1"), TaskID(unchecked: "digits"))

  static var specification: TaskSpecification {
    TaskSpecification(
      name: "digits", model: ModelSpecification(type: "lenet5", input: [1, 8, 8], classes: 10), regions: [north], rounds: 3,
      cohort: CohortSpecification(size: 3, minimum: 1, ready: 0.5, over: 1.5),
      evaluate: EvaluationSpecification(every: 1, devices: true, seconds: 30))
  }

  static func descriptor(_ specification: TaskSpecification = specification, state: TaskDescriptor.State = .open) -> TaskDescriptor {
    TaskDescriptor(task: task, specification: specification, revision: 2, state: state, central: "http://10.0.0.5:7400", secondsLeft: 10)
  }

  static func invitation(round: Int = 1, quota: Int = 1, phase: Phase = .train) -> Invitation {
    Invitation(
      task: task, revision: 2, key: RoundKey(round: round, phase: phase, attempt: 1), quota: quota, minimum: 1,
      base: ModelReference(digest: digest, bytes: 79016), upload: "http://10.0.0.5:7400/v1/tasks/digits/rounds/\(round)/updates/north",
      ticket: Ticket("t0"), grant: Grant(hexadecimal: digest.hexadecimal), seed: 9_007_199_254_740_991, secondsLeft: 59.5, startWithin: 0.5)
  }

  static func status(
    _ node: NodeID, _ state: NodeStatus.State, round: Int? = nil, devices: Int? = nil, have: Int? = nil, progress: Double? = nil
  ) -> NodeStatus {
    NodeStatus(
      node: node, task: task, state: state, round: round, attempt: round.map { _ in 1 }, phase: round.map { _ in .train },
      reason: state == .declined ? "busy" : nil, progress: progress, devices: devices, declined: devices.map { _ in 1 }, have: have,
      waiting: have.map { _ in [Waiting(node: "pi-1", reason: "training")] }, quota: have)
  }

  static func birth(_ node: NodeID, _ kind: NodeState.Kind, session: String = "a1") -> NodeState {
    NodeState(
      node: node, online: true, session: session, nodeKind: kind, labels: ["arch": "x86_64", "site": "lab"],
      capabilities: Capabilities(
        trainers: ["built-in"], version: "0.1.0", models: ["built-in": ["lenet5"]], versions: ["built-in": "2.1"]),
      resources: Resources(cores: 4, load: 0.25, memoryMiB: 900, diskMiB: 12000, battery: 80, mains: false, celsius: 41.5),
      data: kind == .region ? "http://10.0.0.6:7410" : nil)
  }

  static var rich: TaskSpecification {
    var task = specification
    task.strategy = .composed(
      filters: [.init("clip", ["value": 1])], combiner: .init("trimmedMean", ["beta": 0.2]),
      optimizer: .init("adam", ["rate": 0.01, "beta": 0.9]))
    task.upload = .region
    task.trainer = TrainerSelection(any: ["onnx", "pytorch>=2.1"])
    task.encoding = .topK(fraction: 0.01)
    task.where = "arch=x86_64,site!=lab"
    task.requires = Requirements(memoryMiB: 256, maxLoad: 2.5, minBattery: 20)
    task.stop = StopSpecification(metric: "accuracy", at: 0.98, patience: 5)
    task.initial = .blob(digest)
    task.model.step = TrainingStep(blob: digest)
    return task
  }

  static var messages: [() throws -> [UInt8]] {
    [
      {
        try MessageCoder.encode(
          CoordinatorState(
            coordinator: .central, online: true, session: "5f0c", data: "http://h:7400", ops: "http://h:7401", version: "0.1.0"))
      },
      { try MessageCoder.encode(birth(pi, .device)) }, { try MessageCoder.encode(birth(north, .region)) },
      { try MessageCoder.encode(NodeState(node: pi, online: false, session: "a1")) },
      { try MessageCoder.encode(status(pi, .training, round: 3, progress: 0.5)) }, { try MessageCoder.encode(status(pi, .declined)) },
      { try MessageCoder.encode(status(north, .short, round: 1, devices: 3, have: 2)) }, { try MessageCoder.encode(invitation()) },
      {
        try MessageCoder.encode(
          RoundState(
            task: task, step: .training, round: 3, rounds: 10, attempt: 1, counts: ["filled": 1], needed: 8, have: 6, closesInSeconds: 12.5,
            why: "round 3 waits for 2 of 8 updates", waiting: [Waiting(node: "north/pi-1", reason: "training, 40 %")], more: 1,
            metrics: ["loss": 0.5]))
      },
      { try MessageCoder.encode(descriptor()) }, { try MessageCoder.encode(descriptor(rich, state: .paused)) },
    ]
  }
}
