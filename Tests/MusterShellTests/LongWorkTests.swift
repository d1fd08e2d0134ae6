import MusterCoordination
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

  @Test("a result is handed over each second until it is durable")
  func reports() {
    #expect(LongWork().pause(afterReport: false) == 1 && LongWork().pause(afterReport: true) == nil)
  }

  @Test("planted faults are found")
  func planted() {
    #expect(pauses(.passing, .fullDiskEndsWork).isEmpty)
    #expect(LongWork(faults: .reportsWorkOnce).pause(afterReport: false) == nil)
  }

  /// Of at most 50 attempts.
  private func pauses(_ trouble: LongWork.Trouble, _ faults: PlantedFaults = []) -> [Double] {
    var work = LongWork(faults: faults)
    return (0..<50).compactMap { _ in work.pause(after: trouble) }
  }
}
