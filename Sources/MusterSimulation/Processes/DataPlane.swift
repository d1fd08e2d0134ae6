internal import MusterCoordination
internal import MusterSchema

/// The contribution that a ticket admits.
struct TicketScope: Hashable {
  var task: TaskID
  var round: Int
  var phase: Phase
  var path: NodePath
}

/// An upload as a ledger receives it.
struct Upload {
  var scope: TicketScope
  var contribution: ContributionRecord
  var ticket: Ticket?
  /// What the ticket was issued for. Only the auditor and planted bugs look at it.
  var ticketScope: TicketScope

  /// An honest upload for an invitation.
  init(_ scope: TicketScope, _ contribution: ContributionRecord, ticket: Ticket?) {
    self.scope = scope
    self.contribution = contribution
    self.ticket = ticket
    ticketScope = scope
  }

  var key: ContributionKey { ContributionKey(task: scope.task, round: scope.round, phase: scope.phase, path: scope.path) }
  var task: TaskID { scope.task }
  var round: Int { scope.round }
  var phase: Phase { scope.phase }
  /// Whether its numbers are too large to be added up.
  var isExaggerated: Bool { contribution.metrics.values.contains { abs($0) > 1e100 } || contribution.weight > 1e100 }
  /// Whether no node was invited to this contribution with this ticket.
  var isForged: Bool { ticket == nil || ticketScope != scope }
}

/// The answer to an uploader.
enum UploadAnswer: Equatable {
  case said(Coordinator.Answer)
  /// Status 403.
  case refused(String)
}

/// The data plane of a coordinator that counts contributions: central, or a region that aggregates.
///
/// It does what the routes do: an upload is admitted by ticket and phase when its headers arrive; the body travels, is checked and synced;
/// then the machine is asked, and its answer is sent once it is durable.
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
  ///   - machine: returns the machine as it is committed.
  ///   - life: returns the number of the process's current start; `nil` while it is down.
  ///   - store: keeps an update's bytes.
  ///   - grant: returns the grant from which the ticket of a path derives.
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

  /// A `PUT` of an update or an evaluation, from its headers on. An answer of `nil` is a 503.
  func put(_ upload: Upload, transfer: Int64, _ answer: @escaping (UploadAnswer?) -> Void) {
    let respond: (UploadAnswer?) -> Void = { [ledger, unowned world] said in
      if let said { world.auditor.answered(upload, said, by: ledger) }
      answer(said)
    }
    let (task, round, phase) = (upload.task, upload.round, upload.phase)
    switch machine().admission(upload.key, ticket: shown(upload), grant: grant) {
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
      world.auditor.bound(waiting.count, 256, "the uploads that wait for an answer of \(ledger)")
      post(.contribution(task, round: round, phase: phase, upload.contribution, reply: Coordinator.Reply(next)))
    }
  }

  /// The answer to an upload for a phase that is over. Its contribution may have counted.
  private func past(_ upload: Upload, _ why: String) -> Coordinator.Answer {
    guard let earlier = history().contribution(upload.key), !world.plants(.repeatsAreRefused) else { return .closed(why) }
    return earlier.digest == upload.contribution.digest ? .same : .conflict
  }

  /// The ticket that is checked. With a planted bug a wrong ticket is replaced by the right one.
  private func shown(_ upload: Upload) -> Ticket? {
    let (scope, other) = (upload.scope, upload.ticketScope)
    let isTaken =
      world.plants(.admitsOthersTickets) && other.path != scope.path
      || world.plants(.admitsOldTickets) && other.path == scope.path && other != scope
    guard isTaken, let run = machine().tasks[scope.task] else { return upload.ticket }
    return grant(run, scope.path)?.ticket(task: scope.task, round: scope.round, phase: scope.phase)
  }

  /// Passes on the machine's answer, after its commit.
  func resolve(_ reply: Coordinator.Reply, _ answer: Coordinator.Answer) {
    guard let (upload, respond) = waiting.removeValue(forKey: reply.number) else { return }
    var answer = answer
    if case .closed(let why) = answer { answer = past(upload, why) }
    if answer == .stored { world.promised.append((ledger, upload.task, upload.round, upload.phase, upload.contribution)) }
    respond(.said(answer))
  }

  /// Answers the uploads of these events with 503, because their commit failed.
  func failed(_ events: [Coordinator.Event]) {
    for event in events {
      if case .contribution(_, _, _, _, let reply) = event { waiting.removeValue(forKey: reply.number)?.respond(nil) }
    }
  }

  func removeAll() { waiting = [:] }

  /// A `GET` of a phase: the contributions that count.
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
