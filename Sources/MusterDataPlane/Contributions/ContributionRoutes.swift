import HTTPTypes
package import Hummingbird
import MusterCoordination
import MusterGround
import MusterSchema
package import MusterServer
package import MusterStorage
import MusterTensors
import NIOCore

/// `PUT` of updates and evaluations, and the ledger's list of them.
///
/// A PUT has these steps: the ledger admits it (by ticket, phase and limits), the body is streamed into a staged file and hashed, its
/// content is checked, it becomes a durable blob, and finally the ledger accepts it. If a step before fails, nothing is kept. An evaluation
/// does not become a blob: its content goes into the ledger's record.
package struct ContributionRoutes: Sendable {
  private let ledger: any Ledger
  let state: StateFolder
  let schemas: BaseSchemas
  let gate: UploadGate
  private let memory = BodyMemory()

  /// - Parameters:
  ///   - source: finds the base models.
  ///   - state: the folder for updates.
  ///   - limits: limits of uploads in progress.
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
      router.head("\(place)/**") { request, context in try await head(request, context, phase) }
      if phase == .train {
        router.patch("\(place)/**") { request, context in try await append(request, context) }
        router.delete("\(place)/**") { request, context in try await cancel(request, context) }
        router.on("\(place)/**", method: .options) { _, _ in options }
      }
      router.get("\(place)") { request, context in
        let (task, round) = try taskAndRound(request)
        guard let state = try await ledger.phaseLedger(task: task, round: round, phase: phase) else {
          throw Problem.notFound("this server has no round \(round) of task \(task)")
        }
        return try jsonResponse(state)
      }
    }
  }

  /// The contribution that a request is about. In a fleet with identities it must be the caller's own.
  func key(_ request: Request, _ context: RouteContext) throws -> ContributionKey {
    let key = try ContributionKey(address: request.uri.path)
    try context.caller.require(key.path)
    return key
  }

  private func put(_ request: Request, _ context: RouteContext, _ phase: Phase) async throws -> Response {
    let key = try key(request, context)
    let headers = try UploadFields(request)
    switch try await admit(key, request) {
    case .accepted(let digest): return try await repeated(request, context, headers, digest)
    case .open(let terms):
      let announced = try announced(request, terms)
      try gate.enter(announced)
      defer { gate.leave(announced) }
      if phase == .train, headers.complete != nil { return try await create(request, context, key, terms, headers) }
      let contribution =
        switch phase {
        case .train: try await update(request, context, key, terms)
        case .evaluate: try await evaluation(request, context, key, terms)
        }
      return try await settle(contribution, as: key)
    }
  }

  /// The announced length of the body, or if it is chunked, the room that is left, at most 64 MiB. It is limited to the size of a
  /// contribution, so that sums cannot overflow.
  ///
  /// - Parameter offset: number of bytes of the contribution that have already arrived.
  func announced(_ request: Request, _ terms: UploadTerms, from offset: Int = 0) throws -> Int {
    let room = terms.maximumBytes - min(offset, terms.maximumBytes)
    guard let length = try request.contentLength else { return min(room, 64 << 20) }
    guard length <= room else { throw tooLarge(terms) }
    return length
  }

  func tooLarge(_ terms: UploadTerms) -> ProblemWithRetry {
    ProblemWithRetry(problem: .tooLarge(terms.maximumBytes), headers: [.uploadLimit: "max-size=\(terms.maximumBytes)"])
  }

  /// An admitted upload: it may proceed, or it repeats an accepted contribution.
  enum Admitted {
    case open(UploadTerms)
    case accepted(Digest)
  }

  /// - Throws: the problem to answer with if the upload is refused.
  func admit(_ key: ContributionKey, _ request: Request) async throws -> Admitted {
    switch try await ledger.admission(key, ticket: request.ticket) {
    case .open(let terms): return .open(terms)
    case .accepted(let digest): return accepted(digest, as: key)
    case .past(let reason):
      guard let earlier = try await ledger.counted(key) else { throw Problem.closed(reason) }
      return accepted(earlier.digest, as: key)
    case .closed(let reason): throw Problem.closed(reason)
    case .refused(let reason): throw Problem(.notAdmitted, reason)
    case .unknown: throw Problem.unknown(key)
    }
  }

  private func accepted(_ digest: Digest, as key: ContributionKey) -> Admitted {
    state.partials.discard("\(key)")
    return .accepted(digest)
  }

  /// Passes a checked and durable contribution to the ledger, and answers with its decision.
  ///
  /// - Throws: also if the decision could not be made durable. The partial upload is then kept, so that its sender only has to ask again.
  func settle(_ contribution: ContributionRecord, as key: ContributionKey) async throws -> Response {
    let answer = try await ledger.accept(contribution, as: key)
    state.partials.discard("\(key)")
    switch answer {
    case .stored: return try receipt(.created, contribution)
    case .same: return try receipt(.ok, contribution)
    case .conflict: throw Problem.conflict
    case .unknown: throw Problem.unknown(key)
    case .closed(let reason):
      // The phase was closed while the body arrived. The same contribution may have counted in it.
      guard let earlier = try await ledger.counted(key) else { throw Problem.closed(reason) }
      guard earlier.digest == contribution.digest else { throw Problem.conflict }
      return try receipt(.ok, contribution)
    case .refused(let reason): throw Problem.invalid(reason)
    }
  }

  private func update(
    _ request: Request, _ context: RouteContext, _ key: ContributionKey, _ terms: UploadTerms
  ) async throws -> ContributionRecord {
    let expected = try await schemas.schema(of: terms.base)
    if let length = try request.contentLength, length <= BlobFolder.smallBytes, memory.take(length) {
      defer { memory.giveBack(length) }
      return try await smallUpdate(request, context, key, terms, expected)
    }
    let staged = try await receive(request, context, into: state, upTo: terms.maximumBytes)
    // Checking reads every number, and adopting waits for the disk. Both run in one hop off the cooperative pool.
    let state = state
    let (claim, digest) = try await offload { () throws(any Error) -> (BodyClaim, Digest) in
      let claim = try validate(update: staged.path, for: key, terms, expected)
      return (claim, try state.adopt(staged))
    }
    return claim.contribution(of: key.path, digest, bytes: staged.count)
  }

  /// Receives an update that stays in memory until it is checked. It is then stored in one file with others.
  private func smallUpdate(
    _ request: Request, _ context: RouteContext, _ key: ContributionKey, _ terms: UploadTerms, _ expected: TensorSchema
  ) async throws -> ContributionRecord {
    let declared = try request.declaredDigest()
    let bytes = try await request.bytes(context: context, upTo: terms.maximumBytes)
    var hasher = Digest.Hasher()
    hasher.update(bytes)
    let digest = hasher.finish()
    if let declared, declared != digest { throw Problem.wrongDigest(digest, declared) }
    // This takes some tens of microseconds, too little to leave the thread.
    let claim = try validate(update: bytes, for: key, terms, expected)
    try await state.blobs.add(bytes, digest: digest)
    return claim.contribution(of: key.path, digest, bytes: bytes.count)
  }

  private func evaluation(
    _ request: Request, _ context: RouteContext, _ key: ContributionKey, _ terms: UploadTerms
  ) async throws -> ContributionRecord {
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
    return ContributionRecord(
      path: key.path, digest: digest, weight: evaluation.weight, bytes: bytes.count, count: evaluation.count, metrics: evaluation.metrics)
  }

  /// Answers a node whose contribution already counts. Only the digest of the body matters. A body that is longer than the accepted one is
  /// not read to its end, because it must differ.
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

  func receipt(_ status: HTTPTypes.HTTPResponse.Status, _ contribution: ContributionRecord) throws -> Response {
    try jsonResponse(StoredBlob(digest: contribution.digest, bytes: contribution.bytes), status: status, headers: [.uploadComplete: "?1"])
  }

  /// Size limit of an evaluation, which does not become a blob.
  private static let evaluationBytes = 64 << 10
}

/// The task and the round of `/v1/tasks/{t}/rounds/{n}/…`.
///
/// Reads the path without unescaping it: nothing in it needs escaping, and an escaped slash must not become a separator.
private func taskAndRound(_ request: Request) throws(Problem) -> (TaskID, Int) {
  let parts = request.uri.path.split(separator: "/", omittingEmptySubsequences: false)
  guard parts.count > 5 else { throw Problem.notFound("there is nothing at this path") }
  return try ContributionKey.taskAndRound(parts[3], parts[5])
}

extension Request {
  var ticket: Ticket? { Ticket(authorization: headers[.authorization]) }
}
