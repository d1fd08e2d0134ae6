import MusterSchema
import MusterSimulation
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

@Suite("Faults on a virtual clock")
struct FaultTests {
  @Test("a device that dies mid-round is replaced, and the explanation names it")
  func deviceDies() throws {
    let world = World.with(.digits, specification(size: 4, minimum: 4))
    #expect(world.untilTraining(.digits, started: 4))
    let victim = try #require(world.devices.filter { !$0.started.isEmpty }.min { $0.id < $1.id })
    victim.die()
    world.run(seconds: 1)
    let why = world.why(.digits)
    #expect(why.contains("\(victim.region)/\(victim.id)") && why.contains("went offline"), "\(why)")
    #expect(why.contains("replaced by"), "\(why)")
    #expect(world.finish(.digits))
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    #expect(world.records(.digits)[0].attempts == 1 && world.records(.digits)[0].updates.count == 4)
    #expect(world.records(.digits)[0].missed.contains { $0.node == "\(victim.region)/\(victim.id)" }, "\(world.records(.digits)[0].missed)")
    world.checkPromises(.digits)
  }

  @Test("without a replacement the round completes with its minimum, and does not wait for its deadline")
  func noReplacement() throws {
    let world = World.with(.digits, specification(rounds: 1, size: 6, minimum: 5, seconds: 300))
    #expect(world.untilTraining(.digits, started: 6))
    world.device(2).die()
    #expect(world.finish(.digits, within: 60), "\(world.why(.digits))")
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    #expect(world.records(.digits).first?.updates.count == 5)
    world.checkPromises(.digits)
  }

  @Test("a record that can never be stored ends its own task, and the other completes", arguments: ["closed", "opened", "completed"])
  func poison(kind: String) throws {
    let world = World.with(.digits, specification(rounds: 2, size: 3, minimum: 2)) { world in
      world.unstorable = { task, record in task == .digits && record == kind }
    }
    world.push(.other, specification(rounds: 2, size: 3, minimum: 2))
    #expect(world.finish(.digits, within: 120) && world.finish(.other, within: 240), "\(world.why(.digits)); \(world.why(.other))")
    #expect(world.step(.digits) == .failed && world.why(.digits).contains("cannot be stored"), "\(world.why(.digits))")
    #expect(world.step(.other) == .completed, "\(world.why(.other))")
    world.checkPromises(.other)
  }

  @Test("a device that lost its power together with the broker costs one round its patience, and the later ones nothing")
  func silentDevice() throws {
    let world = World.with(.digits, specification(rounds: 4, size: 6, minimum: 3, devices: false))
    world.restartsAfter = nil
    #expect(world.untilTraining(.digits, started: 6))
    world.losePower(of: 1)
    world.run(seconds: 3)
    world.brokersReturn()
    #expect(world.finish(.digits, within: 300), "\(world.why(.digits))")
    #expect(world.step(.digits) == .completed && world.records(.digits).count == 4, "\(world.why(.digits))")
    let late = world.records(.digits).suffix(2).map(\.seconds)
    #expect(late.allSatisfy { $0 < 10 }, "\(world.records(.digits).map(\.seconds))")
    world.checkPromises(.digits)
  }

  @Test("another central that was there for some seconds leaves no task with regions, devices or the broker")
  func secondCentral() throws {
    let world = World.with(.digits, specification(rounds: 3, size: 6, minimum: 3))
    #expect(world.untilTraining(.digits, started: 3))
    world.startSecondCentral(specification(size: 6, minimum: 1))
    world.run(seconds: 12)
    #expect(world.retainedTopics.contains { "\($0)" == "muster/v1/central/tasks/staged" }, "\(world.retainedTopics)")
    world.endSecondCentral()
    #expect(world.finish(.digits, within: 300), "\(world.why(.digits))")
    world.run(seconds: 90)
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    let left = world.retainedTopics.filter { "\($0)".hasSuffix("/tasks/staged") && !"\($0)".contains("/nodes/") }
    #expect(left.isEmpty, "\(left)")
    for region in world.regions { #expect(region.machine.coordinator.tasks.keys.sorted() == [.digits]) }
    for device in world.devices { #expect(device.machine.tasks.keys.sorted() == [.digits] && device.machine.jobs.isEmpty) }
    world.checkPromises(.digits)
  }

  @Test("a device that comes late joins the next round")
  func lateDevice() throws {
    let world = World.with(.digits, specification(minimum: 3), without: [.pi(6)])
    #expect(world.untilTraining(.digits, started: 5))
    world.device(6).start()
    #expect(world.finish(.digits))
    #expect(world.records(.digits).map(\.updates.count) == [5, 6, 6])
    world.checkPromises(.digits)
  }

  @Test("a broker that stays away costs time, no attempts, and the explanation says so")
  func brokerAway() throws {
    let world = World.with(.digits, specification(rounds: 2, minimum: 6, maxAttempts: 1))
    #expect(world.untilTraining(.digits, started: 6))
    // The round closes meanwhile, because devices upload over HTTP. The next one has to wait for the broker.
    world.brokersDie()
    world.run(seconds: 600)
    #expect(world.records(.digits).count == 1, "\(world.why(.digits))")
    #expect(world.why(.digits).contains("central is not connected to its broker"), "\(world.why(.digits))")
    world.brokersReturn()
    #expect(world.finish(.digits), "\(world.why(.digits))")
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    #expect(world.records(.digits).map(\.attempts) == [1, 1])
    world.checkPromises(.digits)
  }

  @Test("a broker that is away while invitations are open spends nobody's patience")
  func brokerAwayMidRound() throws {
    let world = World.with(.digits, specification(rounds: 1, minimum: 6, seconds: 3600, maxAttempts: 1))
    for number in 1...6 { world.device(number).trainer = { _ in .finishes(after: 200_000) } }
    #expect(world.untilTraining(.digits, started: 1))
    world.brokersDie()
    world.run(seconds: 100)
    world.brokersReturn()
    #expect(world.finish(.digits), "\(world.why(.digits))")
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    #expect(world.records(.digits).map(\.attempts) == [1])
    #expect(world.devices.allSatisfy { $0.started.count { $0.key.phase == .train } == 1 })
    world.checkPromises(.digits)
  }

  @Test("a device that restarts mid-round goes on with the same round")
  func deviceRestarts() throws {
    let world = World.with(.digits, specification(rounds: 1, size: 6, minimum: 6))
    #expect(world.untilTraining(.digits, started: 6))
    world.device(3).die()
    world.run(seconds: 0.5)
    world.device(3).start()
    #expect(world.finish(.digits, within: 50), "\(world.why(.digits))")
    #expect(world.records(.digits).first?.updates.count == 6 && world.records(.digits).first?.attempts == 1, "\(world.why(.digits))")
    world.checkPromises(.digits)
  }

  @Test("a region that crashes mid-round goes on with the same round and the same attempt", arguments: [200, 1500, 20_000])
  func regionCrash(downtime: Int64) throws {
    let world = World.with(.digits, specification(rounds: 2))
    for device in world.devices { device.trainer = { _ in .finishes(after: 25_000) } }
    #expect(world.untilTraining(.digits, started: 6))
    world.restartsAfter = downtime
    world.region(.north)?.die()
    #expect(world.finish(.digits), "\(world.why(.digits))")
    #expect(world.records(.digits).map(\.updates.count) == [6, 6], "\(world.why(.digits))")
    #expect(world.records(.digits).map(\.attempts) == [1, 1])
    #expect(
      world.devices.allSatisfy { $0.started.count { $0.key.phase == .train } == 2 }, "nobody trains twice for one round")
    world.checkPromises(.digits)
  }

  @Test("a region's disk is lost: the task still completes")
  func regionForgets() throws {
    let world = World.with(.digits, specification(rounds: 2))
    #expect(world.untilTraining(.digits, started: 6))
    world.region(.north)?.losesDisk()
    world.region(.north)?.die()
    #expect(world.finish(.digits), "\(world.why(.digits))")
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    world.checkPromises(.digits)
  }

  @Test("central that was away longer than its patience for answers does not give up on anybody")
  func centralAway() throws {
    let world = World.with(.digits, specification(rounds: 1))
    for device in world.devices { device.trainer = { _ in .finishes(after: 30_000) } }
    #expect(world.untilTraining(.digits, started: 6))
    world.run(seconds: 20)
    world.restartsAfter = 15_000
    world.central.die()
    world.run(seconds: 16)
    #expect(world.task(.digits)?.troubles == [], "\(world.why(.digits))")
    #expect(world.finish(.digits), "\(world.why(.digits))")
    #expect(world.records(.digits).map(\.updates.count) == [6] && world.records(.digits).map(\.attempts) == [1])
    world.checkPromises(.digits)
  }

  @Test("when every device fails alike, the task fails with that reason")
  func allFail() throws {
    let world = World.with(.digits, specification())
    for device in world.devices { device.trainer = { _ in .fails("ran out of memory", after: 300) } }
    #expect(world.finish(.digits, within: 60), "\(world.why(.digits))")
    #expect(world.step(.digits) == .failed)
    #expect(world.why(.digits) == "failed: every invited device failed for the same reason: ran out of memory", "\(world.why(.digits))")
    world.run(seconds: 5)
    #expect(world.devices.allSatisfy { $0.machine.jobs.isEmpty })
  }

  @Test("devices that fail for themselves do not end the task")
  func someFail() throws {
    let world = World.with(.digits, specification(rounds: 1, size: 4, minimum: 4))
    for number in [1, 4] { world.device(number).trainer = { _ in .fails("no data", after: 300) } }
    #expect(world.finish(.digits), "\(world.why(.digits))")
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    world.checkPromises(.digits)
  }

  @Test("a round that closes short opens another attempt, which keeps what was accepted")
  func secondAttempt() throws {
    let world = World.with(.digits, specification(rounds: 1, minimum: 6, seconds: 20))
    for number in [3, 6] { world.device(number).trainer = { _ in .hangs } }
    #expect(world.untilTraining(.digits, started: 6))
    world.run(seconds: 15)
    #expect(world.task(.digits)?.train?.accepted.count == 4)
    for number in [3, 6] {
      world.device(number).die()
      world.device(number).trainer = { _ in .finishes(after: 1000) }
    }
    #expect(world.run(seconds: 30) { $0.step(.digits) == .recruiting }, "\(world.why(.digits))")
    #expect(world.why(.digits).contains("attempt 2"), "\(world.why(.digits))")
    for number in [3, 6] { world.device(number).start() }
    #expect(world.finish(.digits), "\(world.why(.digits))")
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    #expect(world.records(.digits).first?.attempts == 2 && world.records(.digits).first?.updates.count == 6)
    for number in [1, 2, 4, 5] {
      #expect(world.device(number).started.count { $0.key.phase == .train } == 1, "pi-\(number) delivered once and is not asked again")
    }
    world.checkPromises(.digits)
  }

  @Test("a further attempt invites devices that had no part in the round")
  func freshDevices() throws {
    let world = World.with(
      .digits, specification(rounds: 1, size: 6, minimum: 6, seconds: 20), devices: [4, 4], without: [.pi(4), .pi(8)]
    ) { world in
      for number in [3, 7] { world.device(number).trainer = { _ in .hangs } }
    }
    #expect(world.untilTraining(.digits, started: 6))
    world.run(seconds: 10)
    for number in [3, 7] { world.device(number).die() }
    #expect(world.run(seconds: 30) { $0.step(.digits) == .recruiting }, "\(world.why(.digits))")
    for number in [4, 8] { world.device(number).start() }
    #expect(world.finish(.digits, within: 60), "\(world.why(.digits))")
    let record = try #require(world.records(.digits).first)
    #expect(world.step(.digits) == .completed && record.attempts == 2, "\(world.why(.digits))")
    #expect(record.updates.map { $0.path.nodes[1] } == [1, 2, 4, 5, 6, 8].map { NodeID.pi($0) })
    world.checkPromises(.digits)
  }

  @Test("a late update that brings the minimum closes a round that recruits again")
  func lateUpdateCloses() throws {
    let world = World.with(.digits, specification(rounds: 1, size: 6, minimum: 4, seconds: 10))
    for number in [3, 4, 5, 6] { world.device(number).trainer = { _ in .hangs } }
    world.device(3).trainer = { $0.key.phase == .train ? .finishes(after: 30_000) : .finishes(after: 100) }
    world.device(4).trainer = { $0.key.phase == .train ? .finishes(after: 31_000) : .finishes(after: 100) }
    #expect(world.untilTraining(.digits, started: 6))
    for number in [5, 6] { world.device(number).die() }
    #expect(world.finish(.digits, within: 120), "\(world.why(.digits))")
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    world.checkPromises(.digits)
  }

  @Test("attempts are bounded, then the task fails and says why")
  func attemptsEnd() throws {
    let world = World.with(.digits, specification(rounds: 1, minimum: 6, seconds: 10, maxAttempts: 3))
    world.device(5).trainer = { _ in .hangs }
    #expect(world.finish(.digits, within: 120), "\(world.why(.digits))")
    #expect(world.step(.digits) == .failed)
    #expect(world.why(.digits).contains("round 1 did not get enough updates in 3 attempts"), "\(world.why(.digits))")
    #expect(world.why(.digits).contains("5 of 6 required updates"), "\(world.why(.digits))")
    #expect(world.why(.digits).utf8.count < 700, "\(world.why(.digits))")
    let record = try #require(world.records(.digits).first)
    #expect(record.updates.count == 5 && record.updates.allSatisfy { $0.fate == .abandoned })
    world.checkPromises(.digits)
  }

  @Test("a task that nobody can do expires with its reason")
  func expires() throws {
    let world = World.with(.digits, specification(where: "gpu", validSeconds: 100))
    world.run(seconds: 50)
    #expect(world.why(.digits).contains("label gpu is absent"), "\(world.why(.digits))")
    #expect(world.finish(.digits, within: 60))
    #expect(world.step(.digits) == .failed && world.why(.digits).contains("expired"), "\(world.why(.digits))")
  }

  @Test("a region that is short gives its open places to the other region")
  func quotaMoves() throws {
    let world = World.with(.digits, specification(rounds: 1, size: 4, minimum: 4, seconds: 300), devices: [2, 4])
    #expect(world.untilTraining(.digits, started: 1))
    for number in [1, 2] { world.device(number).die() }
    #expect(world.finish(.digits, within: 60), "\(world.why(.digits))")
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    #expect(
      world.records(.digits)[0].attempts == 1
        && world.records(.digits)[0].updates.map(\.path.nodes[0]) == Array(repeating: .south, count: 4))
    world.checkPromises(.digits)
  }

  @Test("a raised quota survives the loss of its message")
  func raisedQuotaIsRepeated() throws {
    let world = World.with(.digits, specification(rounds: 1, size: 4, minimum: 4, seconds: 300), devices: [2, 4])
    for device in world.devices { device.trainer = { _ in .finishes(after: 6000) } }
    #expect(world.untilTraining(.digits, started: 4))
    var lost = 0
    world.messageFault = { _, topic in
      guard case .invitation(.central, .south, _) = topic, lost == 0 else { return nil }
      lost += 1
      return .silent
    }
    for number in [1, 2] { world.device(number).die() }
    #expect(world.finish(.digits, within: 60), "\(world.why(.digits))")
    #expect(lost == 1)
    #expect(world.records(.digits).first?.attempts == 1 && world.records(.digits).first?.updates.count == 4, "\(world.why(.digits))")
  }

  @Test("a lying trainer's endless words stay within a message")
  func longReasons() throws {
    let world = World.with(.digits, specification(maxAttempts: 2))
    let words = String(repeating: "é\u{1b}[31m\"", count: 3000)
    for device in world.devices { device.trainer = { _ in .fails("\(device.id) \(words)", after: 300) } }
    world.run(seconds: 200)
    #expect(world.step(.digits) != nil)
  }
}
