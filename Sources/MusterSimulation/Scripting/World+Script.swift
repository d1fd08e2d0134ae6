package import MusterCoordination
import MusterParticipation
package import MusterSchema

// A world with a scripted history: nothing goes wrong in it except what a test does to it.
extension World {
  // MARK: Actions

  /// Starts all processes, each at its own moment.
  ///
  /// - Parameter latecomers: devices that are not started yet.
  package func start(without latecomers: Set<NodeID> = []) {
    let devices = devices.filter { !latecomers.contains($0.id) }
    let starts = [central.start] + regions.map { $0.start } + devices.map { $0.start }
    for (index, start) in starts.enumerated() { after(Int64(index * 7)) { _ in start() } }
  }

  /// Pushes a task until central has it. The client has made the task's id.
  package func push(_ task: TaskID, _ specification: TaskSpecification) { push(task, specification, attempts: 200) }

  private func push(_ task: TaskID, _ specification: TaskSpecification, attempts: Int) {
    if central.isUp {
      if central.machine.tasks[task] != nil { return }
      central.shell.post(.accept(task, specification))
    }
    guard attempts > 1 else { return }
    after(700) { $0.push(task, specification, attempts: attempts - 1) }
  }

  /// An operator's request to central. Runs until it is durable.
  package func operate(_ event: Coordinator.Event) {
    var isDone = false
    central.shell.post(event) { _ in isDone = true }
    run(seconds: 10) { _ in isDone }
  }

  /// All brokers die and lose what they retained.
  package func brokersDie() { for broker in brokers { kill(broker, .lost) } }
  /// The brokers and a device lose their power together. The brokers keep everything that they retained.
  package func losePower(of device: Int) {
    for broker in brokers { kill(broker, .kept) }
    self.device(NodeID(unchecked: "pi-\(device)")).die(power: true)
  }

  package func startSecondCentral(_ specification: TaskSpecification) {
    let second = SecondCentral(self, site: central.site, broker: brokers[0], regions: regions.map(\.id), patience: 2000)
    secondCentral = second
    second.start(specification)
  }

  package func endSecondCentral() { secondCentral?.die() }

  package func brokersReturn() { for broker in brokers { broker.start() } }

  // MARK: Waiting

  /// Runs until the task has ended.
  package func finish(_ task: TaskID, within seconds: Double = 600) -> Bool {
    run(seconds: seconds) { $0.central.isUp && $0.step(task)?.isFinal == true }
  }

  /// Runs until `count` devices have started to train in the round.
  package func untilTraining(_ task: TaskID, round: Int = 1, started count: Int = 1) -> Bool {
    run(seconds: 60) { world in
      guard world.task(task)?.round == round, world.step(task) == .training else { return false }
      let started = world.devices.map { $0.started.count { $0.task == task && $0.key.round == round && $0.key.phase == .train } }
      return started.reduce(0, +) >= count
    }
  }

  // MARK: Observations

  /// The task as central runs it.
  package func task(_ id: TaskID) -> TaskRun? { central.machine.tasks[id] }
  package func step(_ task: TaskID) -> RoundState.Step? { central.machine.roundState(task)?.step }

  package func device(_ id: NodeID) -> DeviceProcess {
    guard let device = devices.first(where: { $0.id == id }) else { preconditionFailure("there is no device \(id)") }
    return device
  }

  /// The topics that have a retained message, at any broker.
  package var retainedTopics: [Topic] { brokers.flatMap { $0.retained.keys.sorted().map(directory.topic) } }
}
