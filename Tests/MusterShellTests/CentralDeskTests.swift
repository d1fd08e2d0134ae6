import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation
@testable import MusterShell

@Suite("Central's desk")
struct CentralDeskTests {
  @Test("descriptors and windows are retained and invitations are not; windows may be lost")
  func topics() throws {
    var bench = CentralBench.inRound()
    let invitation = try #require(bench.publications.first { $0.invitation != nil })
    #expect(invitation.topic == .invitation(coordinator: .central, node: .north, task: .digits))
    #expect(!invitation.isRetained && invitation.isLasting)
    bench.now = Instant(milliseconds: 5000)
    bench.tell(.pause(.digits))
    let descriptor = try #require(bench.publications.first { $0.descriptor != nil })
    #expect(descriptor.topic == .task(coordinator: .central, task: .digits) && descriptor.isRetained && descriptor.isLasting)
    let window = try #require(bench.publications.first { $0.round != nil })
    #expect(window.topic == .round(coordinator: .central, task: .digits) && window.isRetained && !window.isLasting)
  }

  @Test("an invitation carries the ticket of its node and, for a region, the grant for its devices")
  func tickets() throws {
    let invitation = try #require(CentralBench.inRound().publications.compactMap(\.invitation).first)
    let grant = Grant(secret: secret, task: .digits).child(.north)
    #expect(invitation.grant == grant && invitation.ticket == grant.ticket(task: .digits, round: 1, phase: .train))
  }

  @Test("a window is published once a second with what holds then; the end of a task is not held back")
  func windows() throws {
    var bench = CentralBench()
    bench.tell(.accept(.digits, specification()))
    #expect(bench.publications.contains { $0.round != nil })
    bench.now = Instant(milliseconds: 400)
    bench.tell(.initialized(.digits, model))
    #expect(!bench.publications.contains { $0.round != nil } && bench.desk.next == Instant(milliseconds: 1000))
    bench.now = Instant(milliseconds: 1000)
    bench.tell()
    #expect(bench.publications.compactMap { $0.round?.step } == [.recruiting] && bench.desk.next == nil)
    bench.now = Instant(milliseconds: 1100)
    bench.tell(.cancel(.digits, reason: "enough"))
    #expect(bench.publications.compactMap { $0.round?.step } == [.cancelled])
  }

  @Test("work has everything that it needs, and each round's work a key of its own")
  func work() throws {
    var bench = CentralBench()
    bench.tell(.accept(.digits, specification()))
    #expect(bench.pieces.map(\.key.kind) == [.initialize])
    bench = .inRound()
    bench.deliver(1, 2)
    let (key, item) = try #require(bench.pieces.first)
    #expect(key.kind == .aggregate && key.round == 1 && key.contributions == 2)
    #expect(item.base == model.digest && item.contributions == [update(1), update(2)])
    #expect(workKeysDiffer([]) && foldsAll([]))
  }

  @Test("an upload's answer goes to who asked, and blobs without reference are told by those that have one")
  func answers() {
    var bench = CentralBench.inRound()
    bench.deliver(1)
    let answers = bench.commands.compactMap { command -> (UInt64, Coordinator.Answer)? in
      if case .answer(let reply, let answer) = command { (reply.number, answer) } else { nil }
    }
    #expect(answers.count == 1 && answers.first?.0 == 1 && answers.first?.1 == .stored)
    bench.tell(.cancel(.digits, reason: "enough"))
    let kept = bench.commands.compactMap { if case .collect(let blobs) = $0 { blobs } else { nil } }.last
    #expect(kept == bench.machine.referencedBlobs)
  }

  @Test("what stands on a task's topic is compared with what is owed there")
  func repair() {
    #expect(repairs([]))
    let bench = CentralBench.inRound()
    func repair(
      _ content: FoundDescriptor.Content, _ task: TaskID = .digits, retained: Bool = true, storeIsNew: Bool = false
    ) -> [Publication] {
      var machine = bench.machine
      machine.configuration.storeIsNew = storeIsNew
      return bench.desk.repair(FoundDescriptor(content, retained: retained), of: task, owed: machine)
    }
    guard let owed = bench.machine.descriptors.first else {
      Issue.record("a descriptor is owed")
      return
    }
    var later = owed
    later.revision += 1
    #expect(repair(.descriptor(owed)) == [] && repair(.descriptor(later)) == [])
    #expect(repair(.unreadable) == [.descriptor(owed, of: .central)])
    #expect(repair(.descriptor(owed), .b, storeIsNew: true) == [])
    #expect(repair(.nothing, .b) == [] && repair(.unreadable, .b, retained: false) == [])
  }

  @Test("topics are read again when what came from them was lost with its batch, each time")
  func lostTopics() {
    #expect(readsAgain([]))
    let desk = CentralDesk(secret: secret)
    let readsForRepeated = desk.readsTopicsAgain(after: [.tick, .pause(.digits)], areDropped: false)
    let readsForDropped = desk.readsTopicsAgain(after: [.connected], areDropped: true)
    #expect(!readsForRepeated && !readsForDropped)
  }

  @Test("planted faults are found")
  func planted() {
    #expect(!workKeysDiffer(.workKeyHasNoRound))
    #expect(!foldsAll(.foldsWithoutTheLast))
    #expect(!repairs(.neverReconciles))
    #expect(!readsAgain(.lostTopicsAreNotReadAgain))
  }
}

// MARK: - Promises

private func workKeysDiffer(_ faults: PlantedFaults) -> Bool {
  var bench = CentralBench.inRound(faults: faults)
  bench.deliver(1, 2)
  let first = bench.pieces.map(\.key)
  bench.tell(.aggregated(.digits, round: 1, ModelReference(digest: Digest(of: [1]), bytes: 1), refused: []))
  let second = bench.pieces.map(\.key)
  bench.tell(.evaluated(.digits, round: 1, metrics: [:]))
  for device in 1...2 {
    bench.tell(.contribution(.digits, round: 2, phase: .train, update(device), reply: Coordinator.Reply(9)))
  }
  let keys = first + second + bench.pieces.map(\.key)
  return keys.count == 3 && Set(keys).count == 3
}

private func foldsAll(_ faults: PlantedFaults) -> Bool {
  var bench = CentralBench.inRound(faults: faults)
  bench.deliver(1, 2)
  return bench.pieces.first?.item.contributions.count == 2
}

private func repairs(_ faults: PlantedFaults) -> Bool {
  let bench = CentralBench.inRound(faults: faults)
  let cleared = bench.desk.repair(FoundDescriptor(.nothing, retained: false), of: .digits, owed: bench.machine)
  let left = bench.desk.repair(FoundDescriptor(.unreadable, retained: true), of: .b, owed: bench.machine)
  guard let owed = bench.machine.descriptors.first else { return false }
  return cleared == [.descriptor(owed, of: .central)]
    && left == [.clearing(.task(coordinator: .central, task: .b)), .clearing(.round(coordinator: .central, task: .b))]
}

private func readsAgain(_ faults: PlantedFaults) -> Bool {
  let desk = CentralDesk(secret: secret, faults: faults)
  let lost: [Coordinator.Event] = [.tick, .connected]
  let (first, second) = (desk.readsTopicsAgain(after: lost, areDropped: false), desk.readsTopicsAgain(after: lost, areDropped: false))
  return first && second
}
