import MusterSchema
import MusterSimulation
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

@Suite("A region that is the ledger of its devices")
struct RegionalLedgerTests {
  private func records(_ world: World, _ region: NodeID) -> [RoundRecord] {
    world.records(.digits, at: region)
  }

  @Test("central gets one contribution a region and phase, and each region keeps the record of its devices")
  func wholeTask() throws {
    let world = World.with(.digits, specification(upload: .region)) { $0.checksReplay() }
    #expect(world.finish(.digits), "\(world.why(.digits))")
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    #expect(world.records(.digits).map(\.round) == [1, 2, 3])
    #expect(world.records(.digits).allSatisfy { $0.attempts == 1 && $0.missed.isEmpty && $0.deviceMetrics != nil })
    for record in world.records(.digits) {
      #expect(record.updates.map(\.path) == [NodePath(.north), NodePath(.south)] && record.updates.map(\.devices) == [3, 3])
      #expect(record.updates.map(\.weight) == [30, 30])
      #expect(record.evaluations.map(\.devices) == [3, 3])
    }
    world.run(seconds: 5)
    for region: NodeID in [.north, .south] {
      let records = records(world, region)
      #expect(records.map(\.round) == [1, 2, 3])
      #expect(records.allSatisfy { $0.updates.count == 3 && $0.evaluations.count == 3 && $0.updates.allSatisfy { $0.fate == .counted } })
      #expect(world.region(region)?.machine.participant.jobs.isEmpty == true)
    }
    #expect(world.devices.allSatisfy { $0.started.count == 6 && $0.machine.jobs.isEmpty })
    world.checkPromises(.digits)
  }

  @Test("a device that dies is replaced; one that comes after the region has frozen its set gets 410, and trains in the next round")
  func replacement() throws {
    let world = World.with(.digits, specification(rounds: 2, size: 4, minimum: 4, upload: .region), devices: [3, 3])
    #expect(world.untilTraining(.digits, started: 4))
    let first = try #require(world.devices.filter { $0.region == .north && !$0.started.isEmpty }.min { $0.id < $1.id })
    first.die()
    #expect(world.run(seconds: 60) { !records($0, .north).isEmpty })
    first.start()
    #expect(world.finish(.digits), "\(world.why(.digits))")
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    #expect(records(world, .north).first?.updates.count == 2)
    #expect(records(world, .north).first?.updates.contains { $0.path == NodePath(.north, first.id) } == false)
    world.run(seconds: 5)
    #expect(first.machine.jobs.isEmpty)
    world.checkPromises(.digits)
  }

  @Test("who comes again with what counts is told so, also by a region that was killed after it had settled the round")
  func toldAgain() throws {
    let world = World.with(.digits, specification(rounds: 1, upload: .region))
    #expect(world.run(seconds: 60) { !records($0, .north).isEmpty })
    let region = try #require(world.region(.north))
    let update = try #require(records(world, .north).first?.updates.first)
    region.die(power: false)
    region.start()
    let machine = region.machine.coordinator
    let run = try #require(machine.tasks[.digits])
    let ticket = try #require(run.grant(of: update.path)).ticket(task: .digits, round: 1, phase: .train)
    let key = ContributionKey(task: .digits, round: 1, phase: .train, path: update.path)
    let admission = machine.admission(key, ticket: ticket) { $0.grant(of: $1) }
    #expect(admission == .accepted(update.digest))
  }

  @Test("at its time a region delivers what it has when that is its share of the minimum")
  func minimum() throws {
    let world = World.with(.digits, specification(rounds: 1, size: 6, minimum: 4, seconds: 60, upload: .region)) { world in
      world.device(1).trainer = { _ in .hangs }
    }
    #expect(world.finish(.digits), "\(world.why(.digits))")
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    #expect(world.records(.digits).first?.attempts == 1 && world.records(.digits).first?.updates.map(\.devices) == [2, 3])
    #expect(records(world, .north).first?.updates.count == 2)
    world.checkPromises(.digits)
  }

  @Test("a region short of its minimum keeps what it has for the next attempt")
  func nextAttempt() throws {
    let world = World.with(.digits, specification(rounds: 1, size: 4, minimum: 4, seconds: 20, upload: .region), devices: [2, 2])
    var hangs = true
    world.device(1).trainer = { _ in hangs ? .hangs : .finishes(after: 1000) }
    world.run(seconds: 15)
    let device = world.device(1)
    device.die()
    hangs = false
    #expect(world.run(seconds: 60) { ($0.task(.digits)?.lastReason ?? "").contains("attempt 1") }, "\(world.why(.digits))")
    device.start()
    #expect(world.finish(.digits), "\(world.why(.digits))")
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    let record = try #require(world.records(.digits).first)
    #expect(record.attempts > 1 && record.updates.map(\.devices) == [2, 2], "\(record)")
    #expect(world.device(2).started.count { $0.key.phase == .train } == 1, "what was accepted is not trained again")
    world.checkPromises(.digits)
  }

  @Test("updates that the region's filters refuse are named in its record")
  func refused() throws {
    let world = World.with(.digits, specification(rounds: 1, upload: .region)) { world in
      world.refusesUpdates = { $0 == NodePath(.north, .pi(2)) ? "its norm is 40 times the median" : nil }
    }
    #expect(world.finish(.digits), "\(world.why(.digits))")
    let updates = try #require(records(world, .north).first?.updates)
    #expect(updates.map(\.fate) == [.counted, .refused, .counted])
    #expect(updates[1].reason == "its norm is 40 times the median")
  }

  @Test("a region of whose updates none is left says so; the round goes on without it", arguments: [2, 4])
  func nothingLeft(minimum: Int) throws {
    let world = World.with(.digits, specification(rounds: 1, size: 4, minimum: minimum, upload: .region)) { world in
      world.checksReplay()
      world.refusesUpdates = { $0.nodes[0] == .north && $0.nodes.count == 2 ? "a number in fc1.weight is NaN" : nil }
    }
    #expect(world.finish(.digits), "\(world.why(.digits))")
    #expect(world.step(.digits) == (minimum == 2 ? .completed : .failed), "\(world.why(.digits))")
    let record = try #require(world.records(.digits).first)
    #expect(record.updates.map(\.path) == [NodePath(.south)])
    // With a minimum of 2 the round is complete without the region, so its first answer stands. Otherwise the region was asked again, and
    // had no other device.
    let word = minimum == 2 ? "none of 2 updates can be used" : "no other device is ready"
    #expect(record.missed.contains { $0.node == "north" && $0.reason.contains(word) }, "\(record.missed)")
    let updates = try #require(records(world, .north).first?.updates)
    #expect(updates.allSatisfy { $0.fate == .abandoned && $0.reason?.contains("fc1.weight is NaN") == true }, "\(updates)")
    world.checkPromises(.digits)
  }

  @Test("what a region accepted for a round that ends without it is abandoned in its record, with the reason")
  func abandoned() throws {
    let world = World.with(.digits, specification(rounds: 1, size: 6, minimum: 2, seconds: 600, upload: .region)) { world in
      world.device(1).trainer = { _ in .hangs }
    }
    #expect(world.run(seconds: 60) { $0.region(.north)?.machine.coordinator.tasks[.digits]?.train?.accepted.count == 2 })
    world.operate(.cancel(.digits, reason: "cancelled by an operator"))
    world.run(seconds: 5)
    let updates = try #require(records(world, .north).first?.updates)
    #expect(updates.count == 2 && updates.allSatisfy { $0.fate == .abandoned && $0.reason == "the task is cancelled" }, "\(updates)")
    world.checkPromises(.digits)
  }
}
