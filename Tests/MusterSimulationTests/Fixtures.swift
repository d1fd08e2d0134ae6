import MusterCoordination
import MusterSchema
import MusterSimulation
import Testing

extension TaskID {
  static let digits = TaskID(unchecked: "digits")
  static let other = TaskID(unchecked: "other")
}

extension NodeID {
  static let north = NodeID(unchecked: "north")
  static let south = NodeID(unchecked: "south")
  static func pi(_ number: Int) -> NodeID { NodeID(unchecked: "pi-\(number)") }
}

func specification(
  rounds: Int = 3, size: Int = 6, minimum: Int = 4, over: Double = 1, ready: Double = 0, seconds: Double = 60, devices: Bool = true,
  stop: StopSpecification? = nil, maxAttempts: Int = 5, selection: CohortSpecification.Selection = .random, where selector: String? = nil,
  upload: UploadTarget = .central, validSeconds: Double = 86_400
) -> TaskSpecification {
  TaskSpecification(
    name: "digits", model: ModelSpecification(type: "softmax", input: [1, 8, 8], classes: 10), regions: [.north, .south],
    where: selector, rounds: rounds,
    cohort: CohortSpecification(size: size, minimum: minimum, ready: ready, over: over, seconds: seconds, selection: selection),
    evaluate: EvaluationSpecification(devices: devices), stop: stop, upload: upload, maxAttempts: maxAttempts, validSeconds: validSeconds)
}

extension World {
  /// Two regions, started, with one task pushed. Every message is encoded and decoded, and a violation is recorded as an issue.
  static func with(
    _ task: TaskID, _ specification: TaskSpecification, devices: [Int] = [3, 3], without latecomers: Set<NodeID> = [],
    prepare: (World) -> Void = { _ in }
  ) -> World {
    var plan = WorldPlan(devices: devices)
    plan.codes = true
    let world = World(plan)
    world.whenViolated = { Issue.record("\($0)") }
    prepare(world)
    world.start(without: latecomers)
    world.run(seconds: 0.2)
    world.push(task, specification)
    return world
  }

  func device(_ number: Int) -> DeviceProcess { device(.pi(number)) }

  /// A ledger's records of finished rounds.
  func records(_ task: TaskID, at ledger: NodeID = .central) -> [RoundRecord] {
    let history = ledger == .central ? central.shell.disk.history : region(ledger)?.shell.disk.history
    return history?.tasks[task]?.rounds ?? []
  }

  /// Checks what must hold in every history, whatever went wrong in it.
  func checkPromises(_ task: TaskID) {
    #expect(violation == nil)
    let run = self.task(task)
    #expect(run != nil || central.shell.disk.history.tasks[task]?.isRetired == true, "central has lost the task")
    let records = records(task)
    for record in records {
      for (phase, list) in [(Phase.train, record.updates), (.evaluate, record.evaluations)] {
        #expect(Set(list.map(\.path)).count == list.count, "round \(record.round), \(phase): a path counts twice")
        #expect(list.map(\.path) == list.map(\.path).sorted(), "round \(record.round), \(phase): not sorted by path")
      }
    }
    #expect(Set(records.map(\.round)).count == records.count, "a round is recorded twice")
    for promise in promised where promise.task == task {
      let ledger = promise.ledger == .central ? run : region(promise.ledger)?.machine.coordinator.tasks[task]
      let record = self.records(task, at: promise.ledger).first { $0.round == promise.round }
      let list = promise.phase == .train ? record?.updates : record?.evaluations
      let open = ledger?.ledger(round: promise.round, phase: promise.phase)?.accepted
      let kept = list?.contains { $0.path == promise.contribution.path && $0.digest == promise.contribution.digest } ?? false
      #expect(
        kept || open?.contains { $0.path == promise.contribution.path } ?? false,
        "round \(promise.round) at \(promise.ledger): \(promise.contribution.path) was answered with 201 and is nowhere")
    }
    let instants = central.shell.disk.journal.map(\.at)
    #expect(instants == instants.sorted(), "an instant went backwards")
  }
}
