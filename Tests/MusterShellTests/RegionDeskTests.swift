import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation
@testable import MusterShell

@Suite("A region's desk")
struct RegionDeskTests {
  @Test("devices are invited with tickets that derive from the grant of the order, and get no grant")
  func invitations() {
    var bench = RegionBench.ready()
    bench.tell(.above(.invitation(RegionBench.order())))
    let invitations = bench.below.compactMap(\.invitation)
    let grant = Grant(secret: secret, task: .digits).child(.north)
    let tickets = [1, 2].map { grant.child(.pi($0)).ticket(task: .digits, round: 1, phase: .train) }
    #expect(Set(invitations.compactMap(\.ticket)) == Set(tickets) && invitations.allSatisfy { $0.grant == nil })
  }

  @Test("an order without a grant invites nobody, and says so")
  func withoutGrant() {
    var bench = RegionBench.ready()
    bench.tell(.above(.invitation(RegionBench.order(grant: nil))))
    #expect(bench.below.compactMap(\.invitation).isEmpty)
    #expect(bench.commands.contains { if case .own(.lacksGrant(.digits)) = $0 { true } else { false } })
  }

  @Test("of a batch only the newest status on a task is said above; what passes waits for its second")
  func statuses() {
    var bench = RegionBench(storeIsNew: false)
    func status(_ have: Int, lasting: Bool) -> RegionMachine.Effect {
      .status(NodeStatus(node: .north, task: .digits, state: lasting ? .ready : .training, have: have), lasting: lasting)
    }
    func say(_ words: RegionMachine.Effect..., at milliseconds: Int64) -> [Int?] {
      for word in words { _ = bench.desk.command(for: word, of: bench.machine) }
      bench.wait(until: milliseconds)
      return bench.above.map { $0.status?.have }
    }
    #expect(say(status(1, lasting: false), status(2, lasting: false), at: 0) == [2])
    #expect(bench.above.first?.isLasting == false && bench.above.first?.isRetained == true)
    #expect(say(status(3, lasting: false), at: 100) == [] && bench.desk.next == Instant(milliseconds: 1000))
    #expect(say(status(4, lasting: true), at: 200) == [4] && bench.above.first?.isLasting == true)
    #expect(say(status(5, lasting: false), at: 300) == [] && say(at: 1199) == [])
    #expect(say(at: 1200) == [5] && bench.desk.next == nil)
    #expect(say(status(6, lasting: true), status(7, lasting: false), at: 1300) == [7] && bench.above.first?.isLasting == true)
  }

  @Test("each round and attempt is work of its own, with what the devices delivered")
  func orders() throws {
    var bench = RegionBench.ready(.region)
    bench.tell(.above(.invitation(RegionBench.order())))
    bench.deliver(1, 2)
    let (first, item) = try #require(bench.pieces.first)
    #expect(first.roundKey == RoundKey(round: 1, phase: .train, attempt: 1) && item.contributions == [update(1), update(2)])
    bench.tell(.below(.release(.digits, reason: "x")), .above(.invitation(RegionBench.order(round: 2, attempt: 3))))
    bench.deliver(1, 2, round: 2)
    let second = try #require(bench.pieces.first?.key)
    #expect(second.roundKey == RoundKey(round: 2, phase: .train, attempt: 3) && second != first)
  }

  @Test("an order whose task was forgotten in the same batch invites nobody, also when the task is heard of again")
  func forgotten() {
    var bench = RegionBench.ready()
    var ended = RegionBench.descriptor(revision: 2)
    ended.state = .closed
    for later: [RegionMachine.Event] in [[], [.above(.descriptor(ended))]] {
      bench = .ready()
      bench.tell([.above(.invitation(RegionBench.order())), .above(.forget(.digits))] + later)
      #expect(bench.below.compactMap(\.invitation).isEmpty)
      #expect(bench.commands.allSatisfy { if case .own(.lacksGrant) = $0 { false } else { true } })
    }
  }

  @Test("the ledger is asked what counts when a round goes on, and after a restart whether the region's own contribution is wanted")
  func questions() {
    var bench = RegionBench.ready()
    bench.tell(.above(.invitation(RegionBench.order())))
    bench.tell(.above(.invitation(RegionBench.order(attempt: 2))))
    #expect(bench.questions == [.whatCounts(.digits, RoundKey(round: 1, phase: .train, attempt: 2), upload: RegionBench.upload)])
    let job = Job(invitation: RegionBench.order(), stage: .uploading)
    let asked = bench.desk.command(for: .ask(job), of: bench.machine)
    guard case .own(.ask(let question)) = asked else {
      Issue.record("it is asked: \(String(describing: asked))")
      return
    }
    #expect(question == .isWanted(.digits, RegionBench.order().key, upload: RegionBench.upload))
  }

  @Test("the region shows itself again, keeps the blobs that are referred to, and says how many devices had to make room")
  func others() throws {
    var bench = RegionBench.ready(.region)
    func command(_ effect: RegionMachine.Effect) -> RegionDesk.Command? { bench.desk.command(for: effect, of: bench.machine) }
    guard case .own(.announce) = command(.announce), case .evicted(3, of: 10) = command(.below(.evicted(3, of: 10))) else {
      Issue.record("it is announced, and the eviction is told")
      return
    }
    bench.tell(.above(.invitation(RegionBench.order())))
    bench.deliver(1)
    guard case .collect(let kept) = command(.below(.collect)) else {
      Issue.record("blobs are collected")
      return
    }
    #expect(kept.isSuperset(of: [update(1).digest, model.digest]))
  }

  @Test("a region's own contribution is delivered until the ledger above has it, or does not want it")
  func delivery() throws {
    var bench = RegionBench.ready(.region)
    bench.tell(.above(.invitation(RegionBench.order())))
    bench.deliver(1, 2)
    let result = JobResult(file: "combined", digest: Digest(of: [7]), bytes: 1)
    bench.tell(.below(.combined(.digits, RegionBench.order().key, Combined(result: result, refused: []))))
    let delivery = try #require(bench.deliveries.first)
    #expect(delivery.current(bench.machine)?.result == result && delivery.queueKey == "digits/1/train")
    bench.tell(delivery.event(for: .counts))
    #expect(delivery.current(bench.machine) == nil)
  }

  @Test("what a new store leaves on its topics is read again once the tasks are known")
  func newStore() {
    let found = FoundDescriptor(.unreadable, retained: true)
    var bench = RegionBench.ready(storeIsNew: true)
    #expect(bench.desk.repair(found, of: .b, owed: bench.machine).isEmpty)
    let readsAgain = (bench.desk.knowsTheTasks(), bench.desk.knowsTheTasks())
    #expect(readsAgain == (true, false))
    #expect(bench.desk.repair(found, of: .b, owed: bench.machine).count == 2)
    bench = .ready(storeIsNew: true)
    let hasLeftAlone = bench.desk.knowsTheTasks()
    #expect(!hasLeftAlone)
  }

  @Test("central is asked which tasks there are when it shows itself")
  func listing() {
    #expect(asksForTheList([]) && !asksForTheList(.neverAsksForTheList))
    let desk = RegionDesk(.north, above: .central, storeIsNew: false)
    #expect(desk.listing(from: CoordinatorState(coordinator: .central, online: false, session: "1", data: "http://central:7400")) == nil)
  }

  private func asksForTheList(_ faults: PlantedFaults) -> Bool {
    let state = CoordinatorState(coordinator: .central, online: true, session: "1", data: "http://central:7400")
    return RegionDesk(.north, above: .central, storeIsNew: false, faults: faults).listing(from: state) == "http://central:7400"
  }

  @Test("topics are read again when what came from them was lost with its batch")
  func lostTopics() {
    #expect(readsAgain([]) && !readsAgain(.lostTopicsAreNotReadAgain))
    let desk = RegionDesk(.north, above: .central, storeIsNew: false)
    let readsForRepeated = desk.readsTopicsAgain(after: [.tick], areDropped: false)
    let readsForDropped = desk.readsTopicsAgain(after: [.above(.connected)], areDropped: true)
    #expect(!readsForRepeated && !readsForDropped)
  }

  private func readsAgain(_ faults: PlantedFaults) -> Bool {
    let desk = RegionDesk(.north, above: .central, storeIsNew: false, faults: faults)
    let lost: [RegionMachine.Event] = [.tick, .above(.connected)]
    let (first, second) = (desk.readsTopicsAgain(after: lost, areDropped: false), desk.readsTopicsAgain(after: lost, areDropped: false))
    return first && second
  }
}

@Suite("A region's questions")
struct QuestionTests {
  private let key = RoundKey(round: 1, phase: .train, attempt: 1)
  private func ledger(open: Bool, _ accepted: [NodePath] = []) -> Question.Answer {
    .ledger(PhaseLedger(task: .digits, round: 1, phase: .train, open: open, accepted: accepted))
  }

  @Test("the address of a phase is that of an upload without the node")
  func address() {
    #expect(
      Question.whatCounts(.digits, key, upload: RegionBench.upload).phase == "http://central:7400/v1/tasks/digits/rounds/1/updates")
  }

  @Test("an order is confirmed, delivered or refused as the ledger has it; silence leaves it as it is")
  func wanted() throws {
    let question = Question.isWanted(.digits, key, upload: RegionBench.upload)
    func answer(_ answer: Question.Answer) throws -> String {
      guard case .above(let event) = try #require(question.event(for: answer, to: .north)) else { throw TestError() }
      return switch event {
      case .delivered(.digits, key): "delivered"
      case .confirmed(.digits, key): "confirmed"
      case .refused(.digits, key, let reason): "refused: \(reason)"
      default: "\(event)"
      }
    }
    #expect(try answer(ledger(open: true)) == "confirmed")
    #expect(try answer(ledger(open: true, [NodePath(.north)])) == "delivered")
    #expect(try answer(ledger(open: false, [NodePath(.pi(3))])) == "refused: the round is closed")
    #expect(try answer(.none(reason: "gone")) == "refused: gone")
    #expect(try answer(.silence) == "confirmed")
  }

  @Test("what counts is told to the machine; no answer changes nothing")
  func counts() {
    let question = Question.whatCounts(.digits, key, upload: RegionBench.upload)
    guard case .below(.ledger(let told)) = question.event(for: ledger(open: true), to: .north) else {
      Issue.record("the ledger is told")
      return
    }
    #expect(told.round == 1)
    #expect(question.event(for: .silence, to: .north) == nil && question.event(for: .none(reason: "x"), to: .north) == nil)
  }

  @Test("tasks that the answer does not name are forgotten, unless they were heard of meanwhile: then it is asked again")
  func listing() {
    var bench = RegionBench.ready()
    var listing = TaskListing(for: bench.machine)
    let (events, next) = listing.answered([], bench.machine)
    guard case .above(.forget(.digits)) = events.first, events.count == 1, next == .settled else {
      Issue.record("the task is forgotten: \(events)")
      return
    }
    listing = TaskListing(for: RegionBench().machine)
    let meanwhile = listing.answered([], bench.machine)
    #expect(meanwhile.events.isEmpty && meanwhile.1 == .ask(after: 1))
    bench = .ready()
    let again = listing.answered([RegionBench.descriptor()], bench.machine)
    #expect(again.events.count == 1 && again.1 == .settled)
  }

  @Test("without an answer it is asked again, less and less often")
  func silence() {
    var listing = TaskListing(for: RegionBench().machine)
    let pauses = (0..<6).map { _ in listing.failed() }
    #expect(pauses == [2, 4, 8, 16, 30, 30].map { .ask(after: $0) })
  }
}

private struct TestError: Error {}
