import MusterSchema
import MusterSimulation
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

@Suite("A whole task on a virtual clock")
struct WholeTaskTests {
  @Test("three rounds with device evaluation, recruiting to completed")
  func wholeTask() throws {
    let world = World.with(.digits, specification())
    #expect(world.finish(.digits), "\(world.why(.digits))")
    let run = try #require(world.task(.digits))
    #expect(world.step(.digits) == .completed, "\(world.why(.digits))")
    #expect(world.records(.digits).map(\.round) == [1, 2, 3])
    #expect(world.records(.digits).map(\.updates.count) == [6, 6, 6])
    #expect(world.records(.digits).map(\.evaluations.count) == [6, 6, 6])
    #expect(world.records(.digits).allSatisfy { $0.attempts == 1 && $0.missed.isEmpty && $0.metrics != nil && $0.deviceMetrics != nil })
    #expect(run.models.map(\.round) == [0, 1, 2, 3])
    #expect(run.latestMetrics == ["accuracy": 0.53])
    #expect(world.why(.digits) == "completed: all 3 rounds are done")
    #expect(world.devices.allSatisfy { $0.started.count == 6 }, "each device trained three times and evaluated three times")
    world.checkPromises(.digits)
    world.run(seconds: 5)
    #expect(world.devices.allSatisfy { $0.machine.jobs.isEmpty })
    #expect(world.regions.allSatisfy { $0.machine.participant.jobs.isEmpty })
    let statuses = world.retainedTopics.map(\.description).filter { $0.contains("/nodes/") && $0.contains("/tasks/") }
    #expect(statuses.isEmpty, "after the end nobody's status stays: \(statuses.sorted())")
  }
}
