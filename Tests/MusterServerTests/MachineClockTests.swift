import MusterParticipation
import Testing

@testable import MusterServer

@Suite("A machine's own time")
struct MachineClockTests {
  @Test("goes on from the last commit: a restart is no step back, and downtime does not count")
  func resumes() {
    let before = Instant(milliseconds: 5_000_000)
    let clock = MachineClock(resuming: before)
    let now = clock.now
    #expect(now >= before && now.seconds(since: before) < 60)
    #expect(clock.time(of: before.advanced(bySeconds: 120)) > .now)
  }
}
