internal import MusterCoordination
internal import MusterSchema

/// An upload as a ledger sees it.
struct Upload {
  var task: TaskID
  var round: Int
  var phase: Phase
  var contribution: ContributionRecord
}

/// The data plane of a coordinator that counts contributions: central, or a region that aggregates.
///
/// As the routes have it: admitted by phase when the headers come; the body travels, is checked and synced; then the machine is asked, and its
/// word goes out once it is durable.
final class LedgerDesk {
  private unowned let world: World
  private let ledger: NodeID
  private let machine: () -> Coordinator
  private let life: () -> Int?
  private let post: (Coordinator.Event) -> Void
  private let store: (Digest) -> Void
  private var waiting: [UInt64: (upload: Upload, respond: (Coordinator.Answer?) -> Void)] = [:]
  private var next: UInt64 = 0

  /// - Parameters:
  ///   - machine: as it is committed.
  ///   - life: of the process; nil while it is down.
  ///   - store: keeps an update's bytes.
  init(
    _ world: World, ledger: NodeID, machine: @escaping () -> Coordinator, life: @escaping () -> Int?,
    post: @escaping (Coordinator.Event) -> Void, store: @escaping (Digest) -> Void
  ) {
    self.world = world
    self.ledger = ledger
    self.machine = machine
    self.life = life
    self.post = post
    self.store = store
  }

  /// `PUT` of an update or an evaluation, from its headers on; nil: 503.
  func put(_ upload: Upload, transfer: Int64, _ answer: @escaping (Coordinator.Answer?) -> Void) {
    let respond: (Coordinator.Answer?) -> Void = { [ledger, unowned world] said in
      if let said { world.auditor.answered(upload, said, by: ledger) }
      answer(said)
    }
    let (task, round, phase) = (upload.task, upload.round, upload.phase)
    guard let run = machine().tasks[task], run.isLedger else { return respond(.unknown) }
    if let earlier = run.accepted(round: round, phase: phase, path: upload.contribution.path) {
      return repeated(upload, earlier, respond)
    }
    if let why = machine().refusal(run, round: round, phase: phase) { return respond(.closed(why)) }
    let life = life()
    world.after(transfer) { [self] world in
      guard self.life() == life else { return }
      if phase == .train { store(upload.contribution.digest) }
      if world.plants(.admissionIsAcceptance),
        machine().tasks[task].map({ machine().refusal($0, round: round, phase: phase) != nil }) ?? true
      {
        return respond(.stored)
      }
      next += 1
      waiting[next] = (upload, respond)
      world.auditor.bound(waiting.count, 256, "uploads that wait for a word of \(ledger)")
      post(.contribution(task, round: round, phase: phase, upload.contribution, reply: Coordinator.Reply(next)))
    }
  }

  private func repeated(_ upload: Upload, _ earlier: ContributionRecord, _ respond: (Coordinator.Answer?) -> Void) {
    if world.plants(.repeatsAreRefused) { return respond(.closed("the round is closed")) }
    if world.plants(.countsRepeats) {
      // The store takes the row without looking whether it is there.
      let record = Coordinator.Record.contributed(upload.task, round: upload.round, phase: upload.phase, upload.contribution)
      world.auditor.committed(record, at: world.central.shell.now, by: ledger)
      return respond(.stored)
    }
    respond(earlier.digest == upload.contribution.digest ? .same : .conflict)
  }

  /// The machine's word, after its commit.
  func resolve(_ reply: Coordinator.Reply, _ answer: Coordinator.Answer) {
    guard let (upload, respond) = waiting.removeValue(forKey: reply.number) else { return }
    if answer == .stored { world.promised.append((ledger, upload.task, upload.round, upload.phase, upload.contribution)) }
    respond(answer == .same && world.plants(.repeatsAreRefused) ? .closed("the round is closed") : answer)
  }

  /// Their commit failed.
  func failed(_ events: [Coordinator.Event]) {
    for event in events {
      if case .contribution(_, _, _, _, let reply) = event { waiting.removeValue(forKey: reply.number)?.respond(nil) }
    }
  }

  func removeAll() { waiting = [:] }

  /// `GET` of a phase: what counts.
  func ledger(_ task: TaskID, _ round: Int, _ phase: Phase) -> PhaseLedger? {
    let machine = machine()
    guard let run = machine.tasks[task], run.isLedger else { return nil }
    let record = run.records.last { $0.round == round }
    let answer = PhaseLedger(
      task: task, round: round, phase: phase, open: machine.refusal(run, round: round, phase: phase) == nil,
      accepted: run.ledger(round: round, phase: phase)?.accepted.map(\.path)
        ?? (phase == .train ? record?.updates : record?.evaluations)?.map(\.path) ?? [])
    world.auditor.says(answer, by: ledger)
    return answer
  }
}
