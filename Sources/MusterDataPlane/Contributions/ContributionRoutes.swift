import HTTPTypes
package import Hummingbird
import MusterGround
import MusterSchema
package import MusterServer
package import MusterStorage
import MusterTensors
import NIOCore

/// `PUT` of updates and evaluations, and what the ledger has of them.
///
/// The order of a PUT: the ledger admits (by ticket, phase and bounds), the body streams into a staged file while it is hashed, its
/// contents are checked, it becomes a durable blob, and last the ledger accepts. Whatever fails before leaves nothing. An evaluation is
/// no blob: what it says goes into the ledger's record.
package struct ContributionRoutes: Sendable {
  private let ledger: any Ledger
  let state: StateFolder
  let schemas: BaseSchemas
  let gate: UploadGate
  private let memory = BodyMemory()

  /// - Parameters:
  ///   - source: where the base models are.
  ///   - store: where updates go.
  ///   - limits: how many uploads at a time.
  package init(ledger: any Ledger, source: any BlobSource, state: StateFolder, limits: UploadLimits = UploadLimits()) {
    self.ledger = ledger
    self.state = state
    schemas = BaseSchemas(source)
    gate = UploadGate(limits)
  }

  package func add(to router: Router<RouteContext>) {
    for (name, phase) in [("updates", Phase.train), ("evaluations", Phase.evaluate)] {
      let place = "/v1/tasks/:task/rounds/:round/\(name)"
      router.put("\(place)/**") { request, context in try await put(request, context, phase) }
      router.head("\(place)/**") { request, _ in try await standing(request, phase) }
      if phase == .train {
        router.patch("\(place)/**") { request, context in try await append(request, context) }
        router.delete("\(place)/**") { request, _ in try await cancel(request) }
        router.on("\(place)/**", method: .options) { _, _ in options }
      }
      router.get("\(place)") { request, context in
        let (task, round) = try taskAndRound(request)
        guard let state = try await ledger.phaseLedger(task: task, round: round, phase: phase) else {
          throw Problem.notFound("there is no round \(round) of task \(task) here")
        }
        return try jsonResponse(state)
      }
    }
  }

  private func put(_ request: Request, _ context: RouteContext, _ phase: Phase) async throws -> Response {
    let key = try ContributionKey(address: request.uri.path)
    let headers = try UploadFields(request)
    switch try await admit(key, request) {
    case .accepted(let digest): return try await repeated(request, context, headers, digest)
    case .open(let terms):
      let announced = try announced(request, terms)
      try gate.enter(announced)
      defer { gate.leave(announced) }
      if phase == .train, headers.complete != nil { return try await create(request, context, key, terms, headers) }
      let offer =
        switch phase {
        case .train: try await update(request, context, key, terms)
        case .evaluate: try await evaluation(request, context, key, terms)
        }
      return try await settle(offer)
    }
  }

  /// Bytes that the body says it has, or may have when it is chunked: at most what a contribution may have, so that sums of them cannot
  /// overflow.
  ///
  /// - Parameter offset: what of the contribution is here already.
  func announced(_ request: Request, _ terms: ContributionTerms, from offset: Int = 0) throws -> Int {
    let room = terms.maximumBytes - min(offset, terms.maximumBytes)
    guard let length = try request.contentLength else { return min(room, 64 << 20) }
    guard length <= room else { throw tooLarge(terms) }
    return length
  }

  func tooLarge(_ terms: ContributionTerms) -> ProblemWithRetry {
    ProblemWithRetry(problem: .tooLarge(terms.maximumBytes), headers: [.uploadLimit: "max-size=\(terms.maximumBytes)"])
  }

  /// What a ledger says before a body, if it lets the request go on.
  enum Admitted: Sendable {
    case open(ContributionTerms)
    case accepted(Digest)
  }

  func admit(_ key: ContributionKey, _ request: Request) async throws -> Admitted {
    switch await ledger.admission(key, ticket: request.ticket) {
    case .open(let base, let maximumWeight, let maximumBytes, let maximumDevices, let required, let anyFloatingPoint, let encoding):
      return .open(
        ContributionTerms(
          base: base, maximumWeight: maximumWeight, maximumBytes: maximumBytes, maximumDevices: maximumDevices, required: required,
          anyFloatingPoint: anyFloatingPoint, encoding: encoding))
    case .accepted(let digest):
      state.partials.discard("\(key)")
      return .accepted(digest)
    case .unknown: throw Problem.notFound("this server has no phase that takes \(key)")
    case .closed(let reason): throw Problem.closed(reason)
    case .refused(let reason): throw Problem(.notAdmitted, reason)
    case .busy(let seconds):
      throw ProblemWithRetry(
        problem: Problem(.tooManyUploads, "too many uploads at once, try again later"), retryAfter: seconds)
    case .unavailable: throw Self.unavailable
    }
  }

  /// Hands a contribution that is checked and durable to the ledger, and says what became of it.
  func settle(_ offer: ContributionOffer) async throws -> Response {
    let outcome = await ledger.accept(offer)
    // What could not be made durable now is kept: its sender asks again, and need not send it again.
    if outcome != .unavailable, outcome != .full { state.partials.discard("\(offer.key)") }
    switch outcome {
    case .stored: return try receipt(.created, offer)
    case .same: return try receipt(.ok, offer)
    case .conflict: throw Problem.conflict
    case .unknown: throw Problem.notFound("this server has no phase that takes \(offer.key)")
    case .closed(let reason): throw Problem.closed(reason)
    case .invalid(let reason): throw Problem.invalid(reason)
    case .unavailable: throw Self.unavailable
    case .full: throw Problem(.diskFull, "the server's disk is full")
    }
  }

  private func update(
    _ request: Request, _ context: RouteContext, _ key: ContributionKey, _ terms: ContributionTerms
  ) async throws -> ContributionOffer {
    let expected = try await schemas.schema(of: terms.base)
    if let length = try request.contentLength, length <= BlobFolder.smallBytes, memory.take(length) {
      defer { memory.giveBack(length) }
      return try await smallUpdate(request, context, key, terms, expected)
    }
    let staged = try await receive(request, context, into: state, upTo: terms.maximumBytes)
    // Checking reads every number, adopting waits for the disk: one hop for both.
    let state = state
    let (claim, digest) = try await offload { () throws(any Error) -> (ContributionClaim, Digest) in
      let claim = try validate(update: staged.path, for: key, terms, expected)
      return (claim, try state.adopt(staged))
    }
    return offer(key, digest, bytes: staged.count, claim)
  }

  /// An update that stays in memory until it is known to be good, and then lies with others in one file.
  private func smallUpdate(
    _ request: Request, _ context: RouteContext, _ key: ContributionKey, _ terms: ContributionTerms, _ expected: TensorSchema
  ) async throws -> ContributionOffer {
    let declared = try request.declaredDigest()
    let bytes = try await request.bytes(context: context, upTo: terms.maximumBytes)
    var hasher = Digest.Hasher()
    hasher.update(bytes)
    let digest = hasher.finish()
    if let declared, declared != digest { throw Problem.wrongDigest(digest, declared) }
    // Some tens of microseconds: no reason to leave this thread.
    let claim = try validate(update: bytes, for: key, terms, expected)
    try await state.blobs.add(bytes, digest: digest)
    return offer(key, digest, bytes: bytes.count, claim)
  }

  func offer(_ key: ContributionKey, _ digest: Digest, bytes: Int, _ claim: ContributionClaim) -> ContributionOffer {
    ContributionOffer(
      key: key, digest: digest, bytes: bytes, weight: claim.weight, count: claim.count, metrics: claim.metrics, base: claim.base)
  }

  private func evaluation(
    _ request: Request, _ context: RouteContext, _ key: ContributionKey, _ terms: ContributionTerms
  ) async throws -> ContributionOffer {
    let declared = try request.declaredDigest()
    let bytes = try await request.bytes(context: context, upTo: min(terms.maximumBytes, Self.evaluationBytes))
    let digest = Digest(of: bytes)
    if let declared, declared != digest { throw Problem.wrongDigest(digest, declared) }
    let evaluation: Evaluation
    do {
      evaluation = try JSON.decode(Evaluation.self, from: bytes)
    } catch {
      throw Problem.invalid(JSON.explain(error, in: bytes))
    }
    try terms.check(base: evaluation.base)
    try terms.check(weight: evaluation.weight, of: evaluation.count)
    try UpdateMetadata.check(metrics: evaluation.metrics)
    return ContributionOffer(
      key: key, digest: digest, bytes: bytes.count, weight: evaluation.weight, count: evaluation.count,
      metrics: evaluation.metrics, base: evaluation.base)
  }

  /// A node whose contribution counts already: the body matters only for its digest. A longer one than what counts is another one: it is not
  /// read to its end.
  func repeated(
    _ request: Request, _ context: RouteContext, _ headers: UploadFields, _ digest: Digest
  ) async throws -> Response {
    if let declared = headers.digest {
      guard declared == digest else { throw Problem.conflict }
      let bytes = try state.size(of: digest) ?? headers.length ?? request.contentLength ?? 0
      return try jsonResponse(StoredBlob(digest: digest, bytes: bytes), headers: [.uploadComplete: "?1"])
    }
    let most = state.size(of: digest) ?? Self.evaluationBytes
    if let length = try request.contentLength, length > most { throw Problem.conflict }
    var hasher = Digest.Hasher()
    var count = 0
    try await context.expectBody(request)
    try await request.forEachPiece { buffer in
      count += buffer.readableBytes
      guard count <= most else { throw Problem.conflict }
      buffer.withUnsafeReadableBytes { hasher.update($0) }
    }
    guard hasher.finish() == digest else { throw Problem.conflict }
    return try jsonResponse(StoredBlob(digest: digest, bytes: count))
  }

  func receipt(_ status: HTTPTypes.HTTPResponse.Status, _ offer: ContributionOffer) throws -> Response {
    try jsonResponse(StoredBlob(digest: offer.digest, bytes: offer.bytes), status: status, headers: [.uploadComplete: "?1"])
  }

  /// Of an evaluation, which is no blob.
  private static let evaluationBytes = 64 << 10

  private static let unavailable = ProblemWithRetry(
    problem: Problem(.unavailable, "the ledger cannot answer now, try again"), retryAfter: 1)
}

/// The task and the round of `/v1/tasks/{t}/rounds/{n}/…`.
///
/// Read from the path as it came: nothing in it needs escaping, and what was escaped must not become a slash.
private func taskAndRound(_ request: Request) throws(Problem) -> (TaskID, Int) {
  let parts = request.uri.path.split(separator: "/", omittingEmptySubsequences: false)
  guard parts.count > 5 else { throw Problem.notFound("there is nothing at this path") }
  return try ContributionKey.taskAndRound(parts[3], parts[5])
}

extension Request {
  var ticket: Ticket? { Ticket(authorization: headers[.authorization]) }
}

extension Problem {
  static let conflict = Problem(.alreadyCounted, "yours already counts")
  static func wrongDigest(_ digest: Digest, _ declared: Digest) -> Problem {
    Problem(.wrongDigest, "the body is \(digest), its Content-Digest says \(declared)")
  }
  static func closed(_ reason: String) -> Problem { Problem(.phaseClosed, reason) }
}
