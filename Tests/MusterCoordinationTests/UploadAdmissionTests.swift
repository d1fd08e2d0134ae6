import MusterSchema
import Testing

@testable import MusterCoordination

@Suite("Which uploads a ledger admits")
struct UploadAdmissionTests {
  private static let grant = Grant(secret: [1, 2, 3], task: .digits)

  private static let terms = UploadTerms(
    base: CentralBench.model.digest, maximumWeight: CentralBench().machine.tasks[.digits]?.descriptor.maximumWeight ?? 0,
    maximumBytes: 1 << 30)

  private func entry(
    _ bench: CentralBench, _ path: NodePath, round: Int = 1, phase: Phase = .train, ticket: Ticket?, task: TaskID = .digits
  ) -> UploadAdmission {
    bench.machine.admission(ContributionKey(task: task, round: round, phase: phase, path: path), ticket: ticket) { _, path in
      Self.grant.descendant(path)
    }
  }

  private func ticket(_ path: NodePath, round: Int = 1, phase: Phase = .train) -> Ticket {
    Self.grant.descendant(path).ticket(task: .digits, round: round, phase: phase)
  }

  @Test("a ticket opens it for one path, one round, one phase")
  func tickets() {
    let bench = CentralBench()
    let path = NodePath(.north, .pi(1))
    let wrong = UploadAdmission.refused("the ticket is not valid for this contribution")
    #expect(entry(bench, path, ticket: ticket(path)) == .open(Self.terms))
    #expect(entry(bench, path, ticket: ticket(NodePath(.north, .pi(2)))) == wrong)
    #expect(entry(bench, path, ticket: ticket(NodePath(.south, .pi(1)))) == wrong)
    #expect(
      entry(bench, path, ticket: ticket(path, round: 2)) == wrong && entry(bench, path, ticket: ticket(path, phase: .evaluate)) == wrong)
    #expect(entry(bench, path, ticket: Ticket("")) == wrong)
    #expect(
      entry(bench, path, ticket: nil) == .refused("the upload has no ticket: send the invitation's ticket as Authorization: Bearer"))
  }

  @Test("with its ticket one still learns that the round is closed, that one already counts, or has nothing to contribute here")
  func standing() {
    var bench = CentralBench()
    let path = NodePath(.north, .pi(1))
    #expect(bench.deliver(1, bytes: "u") == .stored)
    #expect(entry(bench, path, ticket: ticket(path)) == .accepted(Digest(of: "u")))
    #expect(entry(bench, path, round: 2, ticket: ticket(path, round: 2)) == .past("round 2 has not opened yet, round 1 is in progress"))
    let region = NodePath(.north)
    #expect(
      entry(bench, region, ticket: ticket(region))
        == .refused("the task's devices upload to central, so a region must not upload a contribution of its own"))
    #expect(entry(bench, path, ticket: ticket(path), task: .other) == .unknown)
  }

  @Test("what an invitation carries fits: a region's grant makes its devices' tickets")
  func invitations() throws {
    let bench = CentralBench()
    let invitation = try #require(bench.invitation).admitting(.north, by: Self.grant, asScout: true)
    #expect(invitation.ticket == ticket(NodePath(.north)))
    let device = invitation.admitting(.pi(1), by: try #require(invitation.grant), asScout: false)
    #expect(device.ticket == ticket(NodePath(.north, .pi(1))) && device.grant == nil)
    #expect(entry(bench, NodePath(.north, .pi(1)), ticket: device.ticket) == .open(Self.terms))
  }
}
