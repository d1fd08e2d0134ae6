import Testing

@testable import MusterParticipation

@Suite("Presence on one's own topic")
struct PresenceGuardTests {
  @Test("a state on one's own topic: mine, my past's, or a stranger's")
  func presence() {
    let guardian = PresenceGuard(session: "b", previous: "a")
    #expect(guardian.action(online: true, session: "b", retained: false) == .none)
    #expect(guardian.action(online: false, session: "b", retained: false) == .publishBirth)
    #expect(guardian.action(online: false, session: "a", retained: false) == .publishBirth)
    #expect(guardian.action(online: true, session: "a", retained: false) == .none)
    #expect(guardian.action(online: true, session: "x", retained: true) == .none)
    #expect(guardian.action(online: true, session: "x", retained: false) == .duplicate)
  }
}
