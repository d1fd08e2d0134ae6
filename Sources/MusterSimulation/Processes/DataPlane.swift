internal import MusterCoordination
internal import MusterSchema

/// What one ticket admits.
struct TicketScope: Hashable {
  var task: TaskID
  var round: Int
  var phase: Phase
  var path: NodePath
}

/// An upload as a ledger sees it.
struct Upload {
  var scope: TicketScope
  var contribution: ContributionRecord
  var ticket: Ticket?
  /// What the ticket was made out for. Only the auditor looks; and what a planted bug takes it for.
  var ticketScope: TicketScope

  /// What an invitation's node sends of its own.
  init(_ scope: TicketScope, _ contribution: ContributionRecord, ticket: Ticket?) {
    self.scope = scope
    self.contribution = contribution
    self.ticket = ticket
    ticketScope = scope
  }

  var task: TaskID { scope.task }
  var round: Int { scope.round }
  var phase: Phase { scope.phase }
  /// Its numbers are beyond what may be added up.
  var isExaggerated: Bool { contribution.metrics.values.contains { abs($0) > 1e100 } || contribution.weight > 1e100 }
  /// Nobody was invited to this.
  var isForged: Bool { ticket == nil || ticketScope != scope }
}

/// What an uploader is told.
enum UploadAnswer: Equatable {
  case said(Coordinator.Answer)
  /// 403.
  case refused(String)
}

/// The data plane of a coordinator that counts contributions: central, or a region that aggregates.
///
/// As the routes have it: admitted by ticket and phase when the headers come; the body travels, is checked and synced; then the machine is asked, and its
/// word goes out once it is durable.
final class DataPlane {
  private unowned let world: World
  private let ledger: NodeID
  private let machine: () -> Coordinator
  private let history: () -> History
  private let life: () -> Int?
  private let post: (Coordinator.Event) -> Void
  private let store: (Digest) -> Void
  private let grant: (TaskRun, NodePath) -> Grant?
  private var waiting: [UInt64: (upload: Upload, respond: (UploadAnswer?) -> Void)] = [:]
  private var next: UInt64 = 0

  /// - Parameters:
  ///   - machine: as it is committed.
  ///   - life: of the process; nil while it is down.
  ///   - store: keeps an update's bytes.
  ///   - grant: what the ticket of a path derives from.
  init(
    _ world: World, ledger: NodeID, machine: @escaping () -> Coordinator, history: @escaping () -> History, life: @escaping () -> Int?,
    post: @escaping (Coordinator.Event) -> Void, store: @escaping (Digest) -> Void, grant: @escaping (TaskRun, NodePath) -> Grant?
  ) {
    self.world = world
    self.ledger = ledger
    self.machine = machine
    self.history = history
    self.life = life
    self.post = post
    self.store = store
    self.grant = grant
  }

  /// `PUT` of an update or an evaluation, from its headers on; nil: 503.
  func put(_ upload: Upload, transfer: Int64, _ answer: @escaping (UploadAnswer?) -> Void) {
    let respond: (UploadAnswer?) -> Void = { [ledger, unowned world] said in
      if let said { world.auditor.answered(upload, said, by: ledger) }
      answer(said)
    }
    let (task, round, phase) = (upload.task, upload.round, upload.phase)
    switch machine().entry(task, round: round, phase: phase, path: upload.scope.path, ticket: shown(upload), grant: grant) {
    case .unknown: return respond(.said(.unknown))
    case .refused(let why): return respond(.refused(why))
    case .closed(let why): return respond(.said(.closed(why)))
    case .past(let why): return respond(.said(past(upload, why)))
    case .accepted(let earlier): return respond(.said(earlier == upload.contribution.digest ? .same : .conflict))
    case .open: break
    }
    let life = life()
    world.after(transfer) { [self] world in
      guard self.life() == life else { return }
      if phase == .train { store(upload.contribution.digest) }
      next += 1
      waiting[next] = (upload, respond)
      world.auditor.bound(waiting.count, 256, "uploads that wait for a word of \(ledger)")
      post(.contribution(task, round: round, phase: phase, upload.contribution, reply: Coordinator.Reply(next)))
    }
  }

  /// The word on an upload to a phase that is over: it may have counted.
  private func past(_ upload: Upload, _ why: String) -> Coordinator.Answer {
    let scope = upload.scope
    let key = ContributionKey(task: scope.task, round: scope.round, phase: scope.phase, path: scope.path)
    guard let earlier = history().contribution(key), !world.plants(.repeatsAreRefused) else { return .closed(why) }
    return earlier.digest == upload.contribution.digest ? .same : .conflict
  }

  /// The ticket as it is looked at: a planted bug takes another one for the right one.
  private func shown(_ upload: Upload) -> Ticket? {
    let (scope, other) = (upload.scope, upload.ticketScope)
    let isTaken =
      world.plants(.admitsOthersTickets) && other.path != scope.path
      || world.plants(.admitsOldTickets) && other.path == scope.path && other != scope
    guard isTaken, let run = machine().tasks[scope.task] else { return upload.ticket }
    return grant(run, scope.path)?.ticket(task: scope.task, round: scope.round, phase: scope.phase)
  }

  /// The machine's word, after its commit.
  func resolve(_ reply: Coordinator.Reply, _ answer: Coordinator.Answer) {
    guard let (upload, respond) = waiting.removeValue(forKey: reply.number) else { return }
    var answer = answer
    if case .closed(let why) = answer { answer = past(upload, why) }
    if answer == .stored { world.promised.append((ledger, upload.task, upload.round, upload.phase, upload.contribution)) }
    respond(.said(answer))
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
    guard machine.isLedger(of: task) else { return nil }
    let answer =
      machine.phaseLedger(task, round: round, phase: phase)
      ?? PhaseLedger(task: task, round: round, phase: phase, open: false, accepted: history().paths(task, round, phase))
    world.auditor.says(answer, by: ledger)
    return answer
  }
}
