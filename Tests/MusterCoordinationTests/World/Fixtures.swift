import MusterSchema
import Testing

@testable import MusterCoordination

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
    name: "digits", model: ModelSpecification(type: "softmax", input: [1, 8, 8], classes: 10), regions: World.regionNames,
    where: selector, rounds: rounds,
    cohort: CohortSpecification(size: size, minimum: minimum, ready: ready, over: over, seconds: seconds, selection: selection),
    evaluate: EvaluationSpecification(devices: devices), stop: stop, upload: upload, maxAttempts: maxAttempts, validSeconds: validSeconds)
}

extension World {
  /// A started world with one task pushed.
  static func with(
    _ task: TaskID, _ specification: TaskSpecification, devicesPerRegion: [Int] = [3, 3], prepare: (World) -> Void = { _ in }
  ) -> World {
    let world = World(devicesPerRegion: devicesPerRegion)
    prepare(world)
    world.start()
    world.push(task, specification)
    return world
  }

  /// Runs until the round of the task trains, and devices are at work.
  func untilTraining(_ task: TaskID, round: Int = 1, started: Int = 1) -> Bool {
    run(seconds: 60) {
      self.coordinatorTask(task)?.round == round && self.step(task) == .training
        && self.devices.values.reduce(0) { $0 + $1.started.count { $0.task == task && $0.key.round == round && $0.key.phase == .train } }
          >= started
    }
  }

  /// What must hold of every history, whatever went wrong in it.
  func checkPromises(_ task: TaskID) {
    guard let run = coordinatorTask(task) else {
      Issue.record("central has lost the task")
      return
    }
    for record in run.records {
      for (phase, list) in [(Phase.train, record.updates), (.evaluate, record.evaluations)] {
        #expect(Set(list.map(\.path)).count == list.count, "round \(record.round), \(phase): a path counts twice")
        #expect(list.map(\.path) == list.map(\.path).sorted(), "round \(record.round), \(phase): not sorted by path")
      }
    }
    #expect(Set(run.records.map(\.round)).count == run.records.count, "a round is recorded twice")
    for promise in promised where promise.task == task {
      let ledger = promise.ledger == .central ? run : regions[promise.ledger]?.machine.coordinator.tasks[task]
      let record = ledger?.records.first { $0.round == promise.round }
      let list = promise.phase == .train ? record?.updates : record?.evaluations
      let open = ledger?.ledger(round: promise.round, phase: promise.phase)?.accepted
      let kept = list?.contains { $0.path == promise.contribution.path && $0.digest == promise.contribution.digest } ?? false
      #expect(
        kept || open?.contains { $0.path == promise.contribution.path } ?? false,
        "round \(promise.round) at \(promise.ledger): \(promise.contribution.path) was answered with 201 and is nowhere")
    }
    for host in [central.journal.map(\.at)] { #expect(host == host.sorted(), "an instant went backwards") }
  }
}
