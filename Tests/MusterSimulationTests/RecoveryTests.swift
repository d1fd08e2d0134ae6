import MusterSchema
import MusterSimulation
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

/// A world small enough to be run hundreds of times.
private func small(_ upload: UploadTarget = .central, _ prepare: (World) -> Void = { _ in }) -> World {
  World.with(.digits, specification(rounds: 2, size: 4, minimum: 3, upload: upload), devices: [2, 2]) { world in
    for device in world.devices { device.trainer = { _ in .finishes(after: 1000) } }
    prepare(world)
  }
}

private func expectCompleted(_ world: World, _ comment: String) {
  #expect(world.finish(.digits, within: 300), "\(comment): \(world.why(.digits))")
  #expect(world.step(.digits) == .completed, "\(comment): \(world.why(.digits))")
  #expect(world.records(.digits).map(\.round) == [1, 2], "\(comment)")
  world.checkPromises(.digits)
}

@Suite("Recovery on a virtual clock")
struct RecoveryTests {
  @Test("central dies after each of its records in turn: the task completes", arguments: [UploadTarget.central, .region])
  func centralAtEveryRecord(upload: UploadTarget) {
    let whole = small(upload)
    expectCompleted(whole, "undisturbed")
    // The first record is the push itself. The client gets no answer to it, so it pushes again.
    for number in 1...whole.central.shell.disk.journal.count {
      let world = small(upload) { $0.central.shell.diesAfterRecords = number }
      expectCompleted(world, "central died after record \(number) (\(whole.central.shell.disk.journal[number - 1].record.kind))")
      #expect(world.central.shell.life == 2)
    }
  }

  @Test("a region dies after each of its records in turn: the task completes", arguments: [UploadTarget.central, .region])
  func regionAtEveryRecord(upload: UploadTarget) throws {
    let whole = small(upload)
    expectCompleted(whole, "undisturbed")
    let journal = try #require(whole.region(.north)?.shell.disk.journal)
    for number in 1...journal.count {
      let world = small(upload) { $0.region(.north)?.shell.diesAfterRecords = number }
      expectCompleted(world, "north died after record \(number) (\(journal[number - 1].record.kind))")
      // The last records belong to the end of the task.
      world.run(seconds: 5)
      #expect(world.region(.north)?.shell.life == 2)
    }
  }

  @Test(
    "a device dies after each of its records in turn: the task completes, and counts what was delivered",
    arguments: [UploadTarget.central, .region])
  func deviceAtEveryRecord(upload: UploadTarget) {
    let whole = small(upload)
    expectCompleted(whole, "undisturbed")
    for number in 1...whole.device(1).disk.journal.count {
      let world = small(upload) { $0.device(1).diesAfterRecords = number }
      #expect(world.run(seconds: 60) { !$0.device(1).isUp })
      world.run(seconds: 1)
      world.device(1).start()
      expectCompleted(world, "pi-1 died after record \(number)")
    }
  }

  @Test(
    "messages all along are lost, each with the connection that lost it, or come twice", arguments: [Loss.sender, .receivers, .twice],
    [UploadTarget.central, .region])
  func everyMessage(loss: Loss, upload: UploadTarget) {
    var published = 0
    let whole = small(upload) {
      $0.messageFault = { count, _ in
        published = count
        return nil
      }
    }
    expectCompleted(whole, "undisturbed")
    for number in stride(from: 1, through: published, by: loss == .sender ? 2 : 5) {
      var lost = "none"
      let world = small(upload) {
        $0.messageFault = { count, topic in
          guard count == number else { return nil }
          lost = "\(topic)"
          return loss
        }
      }
      expectCompleted(world, "message \(number) on \(lost): \(loss)")
    }
  }

  @Test("each invitation in turn is lost and nobody notices: it is repeated, in the same attempt")
  func everyInvitation() {
    func isInvitation(_ topic: Topic) -> Bool { if case .invitation = topic { true } else { false } }
    var total = 0
    _ = small {
      $0.messageFault = { _, topic in
        total += isInvitation(topic) ? 1 : 0
        return nil
      }
    }.finish(.digits)
    #expect(total > 20)
    for number in 1...total {
      var seen = 0
      let world = small {
        $0.messageFault = { _, topic in
          guard isInvitation(topic) else { return nil }
          seen += 1
          return seen == number ? .silent : nil
        }
      }
      expectCompleted(world, "invitation \(number)")
      #expect(world.records(.digits).map(\.attempts) == [1, 1], "invitation \(number)")
    }
  }

  @Test("a restarted region leaves devices that are at work alone, and invites nobody for them")
  func restartedRegionDoesNotInviteTwice() throws {
    let world = World.with(.digits, specification(rounds: 1, size: 4, minimum: 4, devices: false), devices: [5, 5])
    for device in world.devices { device.trainer = { _ in .finishes(after: 20_000) } }
    #expect(world.untilTraining(.digits, started: 4))
    world.region(.north)?.die()
    world.run(seconds: 3)
    world.region(.south)?.die()
    #expect(world.finish(.digits))
    #expect(world.devices.reduce(0) { $0 + $1.started.count } == 4)
    #expect(world.records(.digits).first?.updates.count == 4)
  }

  @Test("replaying the records gives the state back, at every commit of a history full of trouble")
  func replay() {
    let world = World.with(.digits, specification(rounds: 2, size: 5, minimum: 3, over: 1.2, seconds: 20)) { world in
      world.checksReplay()
      world.device(3).trainer = { _ in .fails("no data", after: 100) }
      world.device(6).trainer = { _ in .hangs }
    }
    world.push(
      .other, specification(rounds: 4, size: 2, minimum: 1, seconds: 20, stop: StopSpecification(metric: "accuracy", at: nil, patience: 2)))
    world.run(seconds: 1)
    world.operate(.pause(.digits))
    world.run(seconds: 12)
    world.operate(.resume(.digits))
    world.run(seconds: 5)
    world.region(.north)?.die()
    #expect(world.finish(.other))
    world.operate(.cancel(.digits, reason: "enough"))
    world.run(seconds: 90_000)
    world.checkPromises(.digits)
    world.checkPromises(.other)
  }

  @Test("whatever breaks for two minutes, both tasks end once faults stop", arguments: UInt64(1)...16)
  func chaos(seed: UInt64) {
    var draws: UInt64 = 0
    func draw() -> Double {
      draws += 1
      return Seeds.fraction(seed, "\(draws)")
    }
    let tasks: [TaskID] = [.digits, .other]
    let world = World.with(.digits, specification(rounds: 8, size: 5, minimum: 2, over: 1.2, seconds: 30, maxAttempts: 100)) { world in
      for device in world.devices {
        device.trainer = { job in
          let draw = Seeds.fraction(seed, "\(job.task)/\(job.key)/\(device.id)/\(device.started.count)")
          let faulty = world.time < 120_000
          return faulty && draw < 0.1
            ? .fails("no luck", after: 500) : faulty && draw < 0.15 ? .hangs : .finishes(after: Int64(draw * 9000))
        }
      }
    }
    world.push(.other, specification(rounds: 4, size: 3, minimum: 2, seconds: 20, devices: false, maxAttempts: 100))
    if seed % 4 == 0 { world.checksReplay() }
    world.messageFault = { _, _ in
      guard world.time < 120_000 else { return nil }
      return switch draw() {
      case ..<0.01: .sender
      case ..<0.02: .receivers
      case ..<0.04: .twice
      default: nil
      }
    }
    while world.time < 120_000 {
      world.run(seconds: 4 * draw())
      switch draw() {
      case ..<0.1: if world.central.isUp { world.central.die() }
      case ..<0.3:
        let region: NodeID = draw() < 0.5 ? .north : .south
        if world.region(region)?.isUp == true { world.region(region)?.die() }
      case ..<0.7:
        let device = world.device(1 + Int(draw() * 6))
        if device.isUp { device.die() } else { device.start() }
      default: break
      }
    }
    for device in world.devices where !device.isUp { device.start() }
    for task in tasks {
      #expect(world.finish(task, within: 900), "\(task): \(world.why(task))")
      // A device's trainer, or those of a whole cohort, may fail three times in the same way.
      let why = world.why(task)
      #expect(world.step(task) == .completed || why.contains("failed for the same reason: no luck"), "\(task): \(why)")
      world.checkPromises(task)
    }
    world.run(seconds: 30)
    #expect(world.devices.allSatisfy { $0.machine.jobs.isEmpty })
  }
}
