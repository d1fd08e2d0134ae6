import FoundationEssentials
import Logging
import MusterAuthority
import MusterGround
import MusterIdentity
import MusterSchema
import MusterServer
import MusterStorage
import Synchronization

/// Central's members: keeps the registry durable, issues certificates and signs statements.
final class Members: Sendable {
  private let store: any Store
  private let authorities: Authorities
  /// Where central's own broker and data listener are.
  private let place: ServerPlace
  /// The fingerprint of central's own key.
  private let own: Digest
  private let logger: Logger
  private let registry: Mutex<Registry>
  private let turns = Turns()

  private let brokerFiles: @Sendable (_ regions: [NodeID], _ revocations: String) async -> Void

  /// How long a device's certificate is valid.
  static let certificateDays = 90
  /// How many certificates of a member, besides its newest, may be valid at a time.
  private static let certificatesAtATime = 4

  /// Reads the registry.
  ///
  /// - Parameters:
  ///   - own: the fingerprint of central's own key.
  ///   - brokerFiles: is called after each change, with the ids of the regions and the list of revoked certificates.
  init(
    store: any Store, authorities: Authorities, place: ServerPlace, own: Digest, logger: Logger,
    brokerFiles: @escaping @Sendable (_ regions: [NodeID], _ revocations: String) async -> Void
  ) async throws {
    self.store = store
    self.authorities = authorities
    self.place = place
    self.own = own
    self.brokerFiles = brokerFiles
    self.logger = logger
    let rows = try await store.registry()
    registry = Mutex(try Registry(restoring: rows.map { ($0.kind, $0.key, $0.body ?? []) }))
  }

  var authority: AuthorityCertificate { authorities.server }
  /// The signed list of statement keys.
  var trust: String { authorities.trustLine }

  /// The member whose certificate has this key.
  func member(_ key: Digest) throws(Problem) -> Member {
    let found = registry.withLock { registry in Result { () throws(RegistryRefusal) in try registry.active(key: key) } }
    do throws(RegistryRefusal) {
      let member = try found.get()
      let path = member.region.map { NodePath($0, member.node) } ?? NodePath(member.node)
      return Member(path: path, nodeKind: member.nodeKind, key: key)
    } catch {
      throw Problem(.notAdmitted, "\(error)")
    }
  }

  // MARK: - Enrolment

  enum Answer {
    case enrolled(Enrolment, isNew: Bool)
    case pending(PendingEnrolment)
  }

  /// Enrols the machine that sent this body, or says why not.
  ///
  /// - Parameter code: the HMAC of the body.
  func enrol(_ body: [UInt8], token: TokenID, code: [UInt8]) async throws(Problem) -> Answer {
    // Nothing is parsed for a caller without a token.
    let known = registry.withLock { registry in Result { () throws(RegistryRefusal) in try registry.authenticated(token, body, code) } }
    do throws(RegistryRefusal) { _ = try known.get() } catch { throw Problem(error) }
    let request: EnrolmentRequest
    do { request = try JSON.decode(EnrolmentRequest.self, from: body) } catch {
      throw Problem.invalid("the enrolment request is not valid: \(JSON.explain(error, in: body))")
    }
    let key: RequestedKey
    do { key = try RequestedKey(request: request.request) } catch { throw Problem.invalid("\(error)") }
    let now = WallTime.now
    let admission = try await change { registry throws(RegistryRefusal) -> Registry.Admission in
      let admission = try registry.admit(request, key: key.fingerprint, token: token, body: body, code: code, at: now)
      guard case .admit(let member) = admission else { return admission }
      return .admit(try self.certify(member, key, &registry, at: now))
    }
    switch admission {
    case .waits(let waiting):
      if waiting.since == now {
        logger.notice("a machine waits to be accepted", metadata: ["node.id": "\(waiting.node)", "key": "\(waiting.key)"])
      }
      return .pending(PendingEnrolment(id: waiting.node, key: waiting.key, reason: waiting.reason))
    case .admitted(let member): return .enrolled(try enrolment(of: member), isNew: false)
    case .admit(let member):
      logger.notice(
        "a \(member.nodeKind.rawValue) became a member",
        metadata: ["node.id": "\(member.node)", "region": "\(member.region.map { "\($0)" } ?? "-")", "token": "\(token)"])
      return .enrolled(try enrolment(of: member), isNew: true)
    }
  }

  /// Gives a member its next certificate, for the key that it has.
  func renew(_ request: String, for member: Member) async throws(Problem) -> Enrolment {
    let key: RequestedKey
    do { key = try RequestedKey(request: request) } catch { throw Problem.invalid("\(error)") }
    guard key.fingerprint == member.key else {
      throw Problem(.notAdmitted, "the request is for another key than that of the certificate: enrol again to change the key")
    }
    let now = WallTime.now
    let renewed = try await change { registry throws(RegistryRefusal) in
      let member = try registry.active(key: key.fingerprint)
      // A member that asks again and again gets the same certificate.
      if let certificate = member.certificate, certificate.end > now, self.renewSeconds(certificate) > 0,
        (member.earlier ?? []).count(where: { $0.end > now }) >= Self.certificatesAtATime
      {
        return member
      }
      return try self.certify(member, key, &registry, at: now)
    }
    return try enrolment(of: renewed)
  }

  private func certify(
    _ member: MemberRecord, _ key: RequestedKey, _ registry: inout Registry, at now: WallTime
  ) throws(RegistryRefusal) -> MemberRecord {
    do {
      let certificate = try authorities.device.issue(member: member.node, for: key, days: Self.certificateDays, at: now)
      var server: IssuedCertificate?
      if let place = member.server, member.serverCertificate == nil {
        guard let authority = authorities.serverKey else {
          throw RegistryRefusal.conflict("the key of the server authority is offline: central needs it to enrol a region")
        }
        server = try authority.issue(server: member.node, names: try place.names.map { try Host(validating: $0) }, for: key)
      }
      return try registry.issued(certificate, server: server, to: member.node, at: now)
    } catch let refusal as RegistryRefusal {
      throw refusal
    } catch {
      throw .conflict("\(error)")
    }
  }

  private func enrolment(of member: MemberRecord) throws(Problem) -> Enrolment {
    guard let certificate = member.certificate else { throw Problem(.unavailable, "the certificate of \(member.node) is not there yet") }
    do {
      return Enrolment(
        certificate: certificate.pem, authority: authorities.server.pem, member: try statement(about: member), trust: trust,
        renewSeconds: renewSeconds(certificate), server: member.serverCertificate,
        deviceAuthority: member.nodeKind == .region ? try authorities.device.pem : nil, place: member.server,
        revocations: member.nodeKind == .region ? try revocationList(registry.withLock(\.self)) : nil)
    } catch {
      logger.error("a member's statement cannot be made", metadata: ["node.id": "\(member.node)", "error": "\(error)"])
      throw Problem(.internalError, "the statement about \(member.node) cannot be made: see central's log")
    }
  }

  /// Seconds until a member should renew its certificate.
  func renewSeconds(of member: Member) throws(Problem) -> Double {
    let found = registry.withLock { registry in Result { () throws(RegistryRefusal) in try registry.active(key: member.key) } }
    do throws(RegistryRefusal) { return try found.get().certificate.map(renewSeconds) ?? 0 } catch { throw Problem(error) }
  }

  /// Renewal is due when two thirds of the certificate's life are over.
  private func renewSeconds(_ certificate: CertificateRecord) -> Double {
    let left = Double(certificate.end.milliseconds - WallTime.now.milliseconds) / 1000
    return max(0, left - Double(Self.certificateDays) * 86_400 / 3)
  }

  private func statement(about member: MemberRecord) throws -> String {
    let region = member.region.flatMap { id in registry.withLock { $0.member(id) } }?.server
    let statement = MemberStatement(
      node: member.node, nodeKind: member.nodeKind, region: member.region, key: member.key, broker: (region ?? place).broker,
      central: place.data, data: region?.data, revision: member.revision, generation: registry.withLock(\.counters.generation))
    return String(decoding: try MessageCoder.sign(statement, with: authorities.statements), as: UTF8.self)
  }

  // MARK: - Operators

  /// Makes a token. Its text is returned here and kept nowhere.
  func makeToken(_ request: TokenRequest) async throws(Problem) -> IssuedToken {
    let now = WallTime.now
    if request.nodeKind == .region {
      guard let node = request.node, let server = request.server, !server.names.isEmpty else {
        throw Problem.invalid("a token for a region needs the region's id and the names of its server")
      }
      guard authorities.serverKey != nil else {
        throw Problem.invalid("the key of the server authority is offline: central needs it to enrol the region \(node)")
      }
      for name in server.names { do { _ = try Host(validating: name) } catch { throw Problem.invalid("\(error)") } }
    }
    var generator = SystemRandomNumberGenerator()
    let secret = (0..<EnrolmentToken.secretBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    let id = TokenID(unchecked: String(UInt64.random(in: 1...UInt64.max, using: &generator), radix: 36))
    let entry: ServerAddress
    do { entry = try ServerAddress(base: place.data) } catch { throw Problem(.internalError, "central's data address: \(error)") }
    let token = EnrolmentToken(id: id, entry: entry, authority: authorities.server.digest, secret: secret)
    let expires = WallTime(milliseconds: now.milliseconds + Int64((request.hours ?? 24) * 3_600_000))
    let record = TokenRecord(
      id: id, key: token.key, nodeKind: request.nodeKind, region: request.region.map { .fixed($0) } ?? .leastLoaded, node: request.node,
      labels: request.labels ?? [:], server: request.nodeKind == .region ? request.server : nil, needsApproval: request.approve ?? false,
      uses: request.uses ?? 1,
      expires: expires, created: now)
    try await change { registry throws(RegistryRefusal) in try registry.add(record, at: now) }
    return IssuedToken(id: "\(id)", token: token.text, expires: expires)
  }

  func revokeToken(_ id: TokenID) async throws(Problem) {
    try await change { registry throws(RegistryRefusal) in try registry.revokeToken(id, at: .now) }
  }

  /// Accepts a machine that waits. It gets its certificate when it asks again.
  func accept(_ key: Digest) async throws(Problem) {
    _ = try await change { registry throws(RegistryRefusal) in try registry.accept(key, at: .now) }
  }

  func reject(_ key: Digest) async throws(Problem) {
    try await change { registry throws(RegistryRefusal) in try registry.reject(key) }
  }

  func revoke(_ node: NodeID, reason: String) async throws(Problem) {
    try await change { registry throws(RegistryRefusal) in try registry.revoke(node, reason: reason, at: .now) }
    logger.notice("a member was revoked", metadata: ["node.id": "\(node)", "reason": "\(reason)"])
  }

  func move(_ node: NodeID, to region: NodeID) async throws(Problem) {
    try await change { registry throws(RegistryRefusal) in try registry.move(node, to: region) }
  }

  func label(_ node: NodeID, _ labels: [String: String?]) async throws(Problem) {
    try await change { registry throws(RegistryRefusal) in try registry.label(node, labels) }
  }

  func forget(_ node: NodeID) async throws(Problem) {
    try await change { registry throws(RegistryRefusal) in try registry.forget(node) }
  }

  var tokens: [TokenSummary] {
    registry.withLock(\.self).allTokens.map { token in
      TokenSummary(
        id: "\(token.id)", nodeKind: token.nodeKind, region: token.region.region, node: token.node, usesLeft: token.usesLeft,
        expires: token.expires, revoked: token.revoked)
    }
  }

  /// All members, by their ids.
  var members: [MemberSummary] {
    registry.withLock(\.self).allMembers.map { member in
      MemberSummary(
        node: member.node, nodeKind: member.nodeKind, region: member.region, key: member.key,
        serial: member.certificate.map { "\($0.serial)" }, ends: member.certificate?.end, labels: member.labels, enrolled: member.enrolled,
        revoked: member.revocation?.at, reason: member.revocation?.reason)
    }
  }

  /// The ids of the regions that were not revoked, in order.
  var regions: [NodeID] { registry.withLock(\.self).regions }

  /// The machines that wait for an operator, oldest first.
  var pending: [PendingSummary] {
    registry.withLock(\.self).allPending.map { waiting in
      PendingSummary(
        key: waiting.key, node: waiting.node, nodeKind: waiting.nodeKind, region: waiting.region, since: waiting.since,
        reason: waiting.reason)
    }
  }

  /// The devices of a region, and the list of revoked certificates for its broker; `nil` if the caller has the newest.
  ///
  /// - Parameter tag: the tag of the roster that the caller has.
  func roster(of region: NodeID, unless tag: String?) throws(Problem) -> Roster? {
    let registry = registry.withLock(\.self)
    var roster = Roster(
      region: region, generation: registry.counters.generation, revision: registry.counters.roster, central: own, devices: [],
      revocations: "")
    guard roster.tag != tag else { return nil }
    roster.devices = registry.devices(of: region).map { .init(node: $0.node, key: $0.key, labels: $0.labels) }
    roster.revocations = try revocationList(registry)
    return roster
  }

  /// The list of revoked certificates in PEM.
  private func revocationList(_ registry: Registry) throws(Problem) -> String {
    do {
      return try authorities.device.revocationList(registry.revokedCertificates(at: .now), number: registry.counters.revocations)
    } catch {
      throw Problem(.internalError, "\(error)")
    }
  }

  // MARK: -

  /// Changes the registry: on a copy first, which takes its place once the changed rows are durable.
  private func change<Result: Sendable>(
    _ body: (inout Registry) throws(RegistryRefusal) -> Result
  ) async throws(Problem) -> Result {
    try await turns.take { () async throws(Problem) -> Result in
      var next = registry.withLock(\.self)
      let result: Result
      do throws(RegistryRefusal) { result = try body(&next) } catch { throw Problem(error) }
      let rows: [RegistryRow]
      do {
        rows = try next.takeChanges().map { RegistryRow(kind: $0.kind.rawValue, key: $0.key, body: try $0.body) }
      } catch {
        throw Problem(.internalError, "the registry cannot be encoded: \(error)")
      }
      if !rows.isEmpty {
        do throws(StorageError) { try await store.commit(StoreTransaction(registry: rows)) } catch { throw Problem(error) }
      }
      let before = registry.withLock { registry in
        defer { registry = next }
        return (revocations: registry.counters.revocations, regions: registry.regions)
      }
      if before.revocations != next.counters.revocations || before.regions != next.regions { await writeBrokerFiles() }
      return result
    }
  }
}

extension Members {
  /// Writes the files of central's broker: at the start, because a crash may have come between a change and its files, and after changes.
  func writeBrokerFiles() async {
    do throws(Problem) {
      await brokerFiles(regions, try revocationList(registry.withLock(\.self)))
    } catch {
      logger.error("the list of revoked certificates cannot be made", metadata: ["error": "\(error)"])
    }
  }
}

extension Problem {
  fileprivate init(_ refusal: RegistryRefusal) {
    switch refusal {
    case .refused(let why): self.init(.notAdmitted, why)
    case .conflict(let why): self.init(.memberConflict, why)
    case .unknown(let why): self.init(.unknownNode, why)
    }
  }
}
