import MusterSchema
import MusterSimulation
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

@Suite("Operators and policies on a virtual clock")
struct OperationTests {
  @Test("a pause freezes deadlines, invites nobody, and lets running jobs count")
  func pause() throws {
    let world = World.with(.digits, specification(rounds: 2, minimum: 6, seconds: 30))
    for device in world.devices { device.trainer = { _ in .finishes(after: 5000) } }
    world.device(6).trainer = { _ in .hangs }
    #expect(world.untilTraining(.digits, started: 6))
    world.operate(.pause(.digits))
    #expect(world.step(.digits) == .paused)
    let before = try #require(world.central.machine.roundState(.digits)?.closesInSeconds)
    world.run(seconds: 500)
    #expect(world.step(.digits) == .paused, "\(world.why(.digits))")
    #expect(world.why(.digits).hasPrefix("paused by an operator"), "\(world.why(.digits))")
    #expect(world.task(.digits)?.train?.accepted.count == 5, "running jobs finish and count")
    #expect(world.task(.digits)?.attempt == 1)
    #expect(world.central.machine.roundState(.digits)?.closesInSeconds == before)
    world.device(6).die()
    world.device(6).trainer = { _ in .finishes(after: 5000) }
    world.device(6).start()
    world.operate(.resume(.digits))
    #expect(world.finish(.digits), "\(world.why(.digits))")
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    world.checkPromises(.digits)
  }

  @Test("a task paused while recruiting stays quiet until it is resumed")
  func pauseWhileRecruiting() throws {
    let world = World.with(.digits, specification(rounds: 1, minimum: 6), without: [.pi(1)])
    world.run(seconds: 5)
    world.operate(.pause(.digits))
    world.device(1).start()
    world.run(seconds: 60)
    #expect(world.devices.allSatisfy { $0.started.isEmpty })
    world.operate(.resume(.digits))
    #expect(world.finish(.digits), "\(world.why(.digits))")
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
  }

  @Test("cancel stops the devices and abandons what was accepted")
  func cancel() throws {
    let world = World.with(.digits, specification(minimum: 6))
    for number in 1...5 { world.device(number).trainer = { _ in .finishes(after: 60_000) } }
    #expect(world.untilTraining(.digits, started: 6))
    world.run(seconds: 5)
    #expect(world.task(.digits)?.train?.accepted.count == 1)
    world.operate(.cancel(.digits, reason: "wrong data"))
    world.run(seconds: 1)
    #expect(world.why(.digits) == "cancelled: wrong data")
    #expect(world.devices.allSatisfy { $0.machine.jobs.isEmpty && !$0.isAtWork || $0.id == .pi(6) })
    let record = try #require(world.records(.digits).first)
    #expect(record.updates.map(\.fate) == [.abandoned] && record.updates.first?.reason == "wrong data")
    world.checkPromises(.digits)
    // A day later no message of the task is retained.
    world.run(seconds: 90_000)
    #expect(world.retainedTopics.map(\.description).filter { $0.contains("/tasks/") } == [])
  }

  @Test("stops when the metric reaches its target")
  func target() throws {
    let world = World.with(.digits, specification(rounds: 10, stop: StopSpecification(metric: "accuracy", at: 0.519)))
    #expect(world.finish(.digits))
    #expect(world.why(.digits) == "completed: accuracy reached 0.52 in round 2")
  }

  @Test("stops when patience is at its end")
  func patience() throws {
    let world = World.with(.digits, specification(rounds: 10, stop: StopSpecification(metric: "loss", at: nil, patience: 2))) {
      $0.metrics = { ["loss": $0 == 2 ? 0.3 : 0.9] }
    }
    #expect(world.finish(.digits))
    #expect(world.why(.digits) == "completed: loss did not improve in 2 evaluations; best 0.3")
    #expect(world.task(.digits)?.round == 4)
  }

  @Test("over-selection: the first contributions close the round, stragglers are told that it is closed")
  func overSelection() throws {
    let world = World.with(.digits, specification(rounds: 2, size: 4, minimum: 4, over: 1.5, devices: false))
    for number in [2, 5] { world.device(number).trainer = { _ in .finishes(after: 4000) } }
    #expect(world.finish(.digits, within: 30), "\(world.why(.digits))")
    #expect(world.records(.digits).map(\.updates.count) == [4, 4])
    #expect(Set(world.records(.digits)[0].updates.map(\.path.nodes[1])).isDisjoint(with: [.pi(2), .pi(5)]))
    world.run(seconds: 30)
    #expect(world.devices.allSatisfy { $0.machine.jobs.isEmpty })
    world.checkPromises(.digits)
  }

  @Test("a closed round starts no further trainers while central evaluates")
  func noWorkForClosedRounds() throws {
    let world = World.with(.digits, specification(rounds: 1, size: 4, minimum: 4, over: 1.25, devices: false))
    for device in world.devices {
      device.trainer = { [unowned device] _ in .finishes(after: device.started.count > 1 ? 1000 : 2000) }
    }
    #expect(world.finish(.digits, within: 30), "\(world.why(.digits))")
    #expect(world.devices.reduce(0) { $0 + $1.started.count } == 5)
  }

  @Test("two tasks share the same devices: busy ones decline, both complete")
  func twoTasks() throws {
    let world = World.with(.digits, specification(rounds: 2))
    world.push(.other, specification(rounds: 2))
    #expect(world.finish(.digits), "\(world.why(.digits))")
    #expect(world.finish(.other), "\(world.why(.other))")
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    #expect(world.step(.other) == .completed, "\(world.why(.other))")
    world.checkPromises(.digits)
    world.checkPromises(.other)
  }

  @Test("a device whose task is cancelled is free for the other at once")
  func freedByCancel() throws {
    let world = World.with(.digits, specification(rounds: 1, size: 6, minimum: 6))
    for device in world.devices { device.trainer = { $0.task == .digits ? .hangs : .finishes(after: 1000) } }
    #expect(world.untilTraining(.digits, started: 6))
    world.push(.other, specification(rounds: 1, size: 6, minimum: 6))
    world.run(seconds: 3)
    #expect(world.step(.other) == .recruiting && world.why(.other).contains("busy"), "\(world.why(.other))")
    world.operate(.cancel(.digits, reason: "hangs"))
    #expect(world.finish(.other, within: 20), "\(world.why(.other))")
    #expect(world.step(.other) == .completed, "\(world.why(.other))")
  }

  @Test("a round waits a moment for those who are on their way, not only for the minimum")
  func firstRoundTakesEverybody() throws {
    let world = World.with(.digits, specification(rounds: 1, size: 10, minimum: 1))
    #expect(world.finish(.digits))
    #expect(world.records(.digits).first?.updates.count == 6)
  }

  @Test("updates that the strategy refuses are recorded with their reason")
  func refused() throws {
    let world = World.with(.digits, specification(rounds: 1)) { $0.refusesUpdates = { $0.nodes[1] == .pi(2) ? "norm 1e9" : nil } }
    #expect(world.finish(.digits))
    let record = try #require(world.records(.digits).first)
    #expect(record.updates.filter { $0.fate == .refused }.map(\.reason) == ["norm 1e9"])
    #expect(record.updates.count == 6)
  }

  @Test("a round of which the strategy leaves too few goes on with others, and nobody trains twice for it")
  func tooFewLeft() throws {
    var bad: Set<NodePath> = []
    let world = World.with(.digits, specification(rounds: 1, size: 4, minimum: 4, devices: false)) { world in
      world.checksReplay()
      world.fewestUpdates = 3
      world.refusesUpdates = { [unowned world] path in
        if world.task(.digits)?.attempt == 1, path.nodes[0] == .north { bad.insert(path) }
        return bad.contains(path) ? "a number in fc1.weight is NaN" : nil
      }
    }
    #expect(world.finish(.digits), "\(world.why(.digits))")
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    let record = try #require(world.records(.digits).first)
    #expect(record.attempts == 2 && record.updates.count == 6)
    #expect(Set(record.updates.filter { $0.fate == .refused }.map(\.path)) == bad && bad.count == 2)
    #expect(world.devices.allSatisfy { $0.started.count == 1 })
    world.checkPromises(.digits)
  }

  @Test("when nothing of any region is left and nobody else is there, the task fails in a round's time and says who was refused")
  func nothingLeft() throws {
    let world = World.with(.digits, specification(rounds: 1, size: 6, minimum: 4, seconds: 30, upload: .region)) { world in
      world.checksReplay()
      world.refusesUpdates = { $0.nodes.count == 1 ? "a number in fc1.weight is NaN" : nil }
    }
    #expect(world.finish(.digits, within: 60), "\(world.why(.digits))")
    #expect(
      world.why(.digits).contains("could not be aggregated") && world.why(.digits).contains("no other devices"), "\(world.why(.digits))")
    let record = try #require(world.records(.digits).first)
    #expect(record.updates.map(\.fate) == [.refused, .refused] && record.result == nil)
    world.checkPromises(.digits)
  }

  @Test("the least loaded devices are chosen when the task asks for it")
  func selectionByLoad() throws {
    let world = World.with(.digits, specification(rounds: 1, size: 4, minimum: 4, devices: false, selection: .load)) { world in
      for (number, load) in [(1, 3.0), (2, 0.5), (3, 2.0), (4, 1.0), (5, 0.2), (6, 1.5)] { world.device(number).resources.load = load }
    }
    #expect(world.finish(.digits))
    let chosen = world.records(.digits).first?.updates.map(\.path.description)
    #expect(chosen == ["north/pi-2", "north/pi-3", "south/pi-4", "south/pi-5"])
  }
}
