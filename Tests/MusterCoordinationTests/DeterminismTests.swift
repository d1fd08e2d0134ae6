import MusterSchema
import Testing

@testable import MusterCoordination

/// The digest of everything that a troubled history puts on wires and disks, in its order.
private func historyDigest() -> Digest {
  let world = World(devicesPerRegion: [4, 4])
  world.keepsTrace = true
  world.start()
  world.device(2).trainer = { _ in .fails("no data", after: 100) }
  world.push(.digits, specification(rounds: 2, size: 6, minimum: 3, over: 1.2, seconds: 20, selection: .load))
  world.push(.other, specification(rounds: 2, size: 3, minimum: 1, seconds: 20))
  world.run(seconds: 2)
  world.kill(world.device(5))
  world.crash(.north)
  world.run(seconds: 3)
  world.crashCentral()
  world.run(seconds: 200)
  #expect(world.trace.count > 200)
  return World.digest(world.trace.joined(separator: "\n"))
}

@Suite("Determinism")
struct DeterminismTests {
  @Test("the same history gives the same bytes, also in another process")
  func twice() async throws {
    let digest = historyDigest()
    #expect(historyDigest() == digest)
    // Dictionaries and sets are ordered by a seed of the process: another one has another order.
    let other = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      print("history \(historyDigest())")
    }
    let output = String(decoding: try #require(other).standardOutputContent, as: UTF8.self)
    #expect(output.contains("history \(digest)"), "\(output)")
  }

  @Test("a seeded order depends on the seed and not on the order of arrival")
  func shuffled() {
    let nodes = (1...40).map { NodeID.pi($0) }
    #expect(Seeds.shuffled(nodes, seed: 7) == Seeds.shuffled(nodes.reversed(), seed: 7))
    #expect(Seeds.shuffled(nodes, seed: 7) != Seeds.shuffled(nodes, seed: 8))
    #expect(Seeds.shuffled(nodes, seed: 7).prefix(3).map(\.rawValue) == goldenOrder)
  }

  @Test("fractions spread over the whole of 0..<1, seeds stay below 2^53")
  func fractions() {
    let fractions = (0..<1000).map { Seeds.fraction(1, "pi-\($0)") }
    #expect(fractions.allSatisfy { (0..<1).contains($0) })
    #expect(abs(fractions.reduce(0, +) / 1000 - 0.5) < 0.05)
    #expect(fractions.max().map { $0 > 0.98 } == true && fractions.min().map { $0 < 0.02 } == true)
    #expect((0..<1000).allSatisfy { Seeds.derive(UInt64($0), "x") < 1 << 53 })
  }

  @Test(
    "a total is split by largest remainder",
    arguments: [
      (10, [5, 5], [5, 5]), (4, [3, 3], [2, 2]), (5, [3, 3], [3, 2]), (7, [1, 2, 4], [1, 2, 4]), (3, [10, 1], [3, 0]),
      (9, [2, 2], [2, 2]),
      (0, [1, 1], [0, 0]), (3, [0, 0], [0, 0]), (1, [0, 5], [0, 1]), (6, [4, 1, 1], [4, 1, 1]),
      (5, [1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0]),
    ])
  func splitting(total: Int, weights: [Int], parts: [Int]) { #expect(split(total, over: weights) == parts) }
}

/// Computed on its own, in Python.
private let goldenOrder = ["pi-37", "pi-3", "pi-4"]
