import MusterCoordination
import MusterParticipation
import MusterSchema
import Testing

@testable import MusterShell

@Suite("Long work that meets trouble, by its times")
struct LongWorkTimesTests {
  @Test("is tried for ever while the trouble passes, some times when it is not known, and once when it lasts")
  func attempts() {
    #expect(pauses(.passing).prefix(6) == [2, 4, 8, 16, 30, 30] && pauses(.passing).count == 50)
    #expect(pauses(.unclear) == [2, 4, 8])
    #expect(pauses(.lasting).isEmpty)
  }

  @Test("trouble that passes does not use up the attempts that unclear trouble gets")
  func mixed() {
    let troubles: [Trouble] = [.passing, .passing, .passing, .passing, .unclear, .passing, .unclear, .unclear, .unclear]
    #expect(pauses(troubles) == [2, 4, 8, 16, 30, 30, 30, 30])
  }

  @Test("a result is handed over each second until it is durable")
  func reports() {
    #expect(LongWork(1).pause(afterReport: false) == 1 && LongWork(1).pause(afterReport: true) == nil)
  }

  @Test("a piece is wanted while its task waits for it, with the contributions that it aggregates")
  func wanted() throws {
    var bench = CentralBench.inRound()
    bench.deliver(1, 2)
    let aggregation = try #require(bench.pieces.first?.key)
    #expect(aggregation.isWanted(by: bench.machine))
    var smaller = aggregation
    smaller.contributions = 1
    #expect(!smaller.isWanted(by: bench.machine))
    bench.tell(.aggregated(.digits, round: 1, ModelReference(digest: Digest(of: [1]), bytes: 1), refused: []))
    let evaluation = try #require(bench.pieces.first?.key)
    #expect(!aggregation.isWanted(by: bench.machine) && evaluation.isWanted(by: bench.machine))
    bench.tell(.cancel(.digits, reason: "x"))
    #expect(evaluation.isWanted(by: bench.machine), "an operator may have a model evaluated after the end")
    bench.tell(.forget(.digits))
    #expect(!evaluation.isWanted(by: bench.machine))
  }

  @Test("a region's piece is wanted for the order that it was made for")
  func wantedByRegion() throws {
    var bench = RegionBench.ready(.region)
    bench.tell(.above(.invitation(RegionBench.order())))
    bench.deliver(1, 2)
    let key = try #require(bench.pieces.first?.key)
    var other = key
    other.roundKey.attempt = 2
    #expect(key.isWanted(by: bench.machine.coordinator) && !other.isWanted(by: bench.machine.coordinator))
    bench.tell(.below(.release(.digits, reason: "x")))
    #expect(!key.isWanted(by: bench.machine.coordinator))
  }

  @Test("planted faults are found")
  func planted() {
    #expect(pauses(.passing, .fullDiskEndsWork).isEmpty)
    #expect(LongWork(1, faults: .reportsWorkOnce).pause(afterReport: false) == nil)
  }

  /// The pauses after the first 50 attempts.
  private func pauses(_ trouble: Trouble, _ faults: PlantedFaults = []) -> [Double] {
    pauses(Array(repeating: trouble, count: 50), faults)
  }

  private func pauses(_ troubles: [Trouble], _ faults: PlantedFaults = []) -> [Double] {
    var work = LongWork(1, faults: faults)
    return troubles.compactMap { work.pause(after: $0) }
  }
}
