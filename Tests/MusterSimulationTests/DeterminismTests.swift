import MusterCoordination
import MusterSchema
import MusterSimulation
import Testing

/// The digest of everything that a history with faults puts on wires and disks, in order.
private func historyDigest() -> Digest {
  let task = specification(rounds: 2, size: 6, minimum: 3, over: 1.2, seconds: 20, selection: .load)
  let world = World.with(.digits, task, devices: [4, 4]) { world in
    world.keepsTrace = true
    world.device(2).trainer = { _ in .fails("no data", after: 100) }
  }
  world.push(.other, specification(rounds: 2, size: 3, minimum: 1, seconds: 20))
  world.run(seconds: 2)
  world.device(5).die()
  world.region(.north)?.die()
  world.run(seconds: 3)
  world.central.die()
  world.run(seconds: 200)
  #expect(world.trace.lines.count > 200)
  return world.digest("\(world.trace.digest)\n\(world.trace.lines.joined(separator: "\n"))")
}

@Suite("A history is the same each time")
struct DeterminismTests {
  @Test("the same history gives the same bytes, also in another process")
  func twice() async throws {
    let digest = historyDigest()
    #expect(historyDigest() == digest)
    // Dictionaries and sets are ordered by a seed of the process, so another process has another order.
    let other = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      print("history \(historyDigest())")
    }
    let output = String(decoding: try #require(other).standardOutputContent, as: UTF8.self)
    #expect(output.contains("history \(digest)"), "\(output)")
  }
}
