import HashTreeCollections
package import MusterIdentity
package import MusterSchema

/// The members of a fleet, the tokens with which machines become members, and those that wait for an operator: a value without I/O.
///
/// Copies share what they have in common, so a copy costs little. Every change is made on a copy, its ``RegistryChange`` rows are
/// committed, and only then the copy takes the place of the original and the caller is answered. Issuing certificates is left to the
/// caller, because it needs keys.
package struct Registry: Sendable {
  private(set) var tokens: TreeDictionary<TokenID, TokenRecord> = [:]
  private(set) var members: TreeDictionary<NodeID, MemberRecord> = [:]
  /// By the fingerprint of the key.
  private(set) var pending: TreeDictionary<Digest, PendingRecord> = [:]
  /// Certificates that no longer count although they have not ended.
  var revocations: TreeDictionary<SerialNumber, RevokedCertificate> = [:]
  /// Counts the changes of members, so that a region can tell whether its roster is the newest.
  package internal(set) var counters = Counters()

  package struct Counters: Codable, Hashable, Sendable {
    /// Increases with every change that a roster shows.
    package var roster = 0
    /// The number of the newest list of revoked certificates.
    package var revocations = 0
    /// See ``Bounds/generation``.
    package var generation = 0
  }

  /// Why the keys of revoked certificates no longer count.
  private var revokedKeys: TreeDictionary<Digest, String> = [:]
  private var nodesByKey: TreeDictionary<Digest, NodeID> = [:]
  private var keysAwaiting: TreeDictionary<NodeID, TreeSet<Digest>> = [:]
  private var tokensByNode: TreeDictionary<NodeID, TreeSet<TokenID>> = [:]
  private var devicesByRegion: TreeDictionary<NodeID, TreeSet<NodeID>> = [:]

  /// Names that no member can have, besides `central`: those in the broker's password file.
  private let reserved: Set<NodeID>
  /// The rows that changed since ``takeChanges()``.
  private var changes: [RegistryChange] = []

  package init(reserved: Set<NodeID> = []) { self.reserved = reserved.union([.central]) }

  /// How long a token is known after it expired, so that a machine whose answer was lost can ask again.
  private static let keptMilliseconds: Int64 = 30 * 86_400_000
  /// The most tokens, members and waiting machines that are kept.
  package static let maximumTokens = 10_000
  package static let maximumMembers = 1_000_000
  package static let maximumPending = 10_000

  /// Returns the rows to commit, in their order.
  package mutating func takeChanges() -> [RegistryChange] {
    defer { changes = [] }
    return changes
  }

  // MARK: - What is known

  package func token(_ id: TokenID) -> TokenRecord? { tokens[id] }
  package func member(_ node: NodeID) -> MemberRecord? { members[node] }
  /// All tokens, oldest first.
  package var allTokens: [TokenRecord] { tokens.values.sorted { ($0.created, $0.id) < ($1.created, $1.id) } }
  /// All members, by their ids.
  package var allMembers: [MemberRecord] { members.values.sorted { $0.node < $1.node } }
  /// The ids of the regions that were not revoked, in order.
  package var regions: [NodeID] { devicesByRegion.keys.filter(isActiveRegion).sorted() }
  /// The machines that wait for an operator, oldest first.
  package var allPending: [PendingRecord] {
    pending.values.filter { !$0.isRejected }.sorted { ($0.since, $0.node) < ($1.since, $1.node) }
  }

  // MARK: - Tokens

  package mutating func add(_ token: TokenRecord, at now: WallTime) throws(RegistryRefusal) {
    // A machine that waits asks with its token until it is accepted, however long that takes.
    let needed = Set(pending.values.map(\.token))
    for old in tokens.values where old.expires.milliseconds + Self.keptMilliseconds < now.milliseconds && !needed.contains(old.id) {
      set(token: old.id, nil)
    }
    try checkSize(of: token.labels)
    guard tokens.count < Self.maximumTokens else {
      throw .conflict("there are \(tokens.count) tokens already: revoke some with muster node token revoke")
    }
    if let region = token.region.region, token.nodeKind == .device { _ = try activeRegion(region) }
    if let node = token.node { try checkFree(of: token.nodeKind, node) }
    set(token: token.id, token)
  }

  package mutating func revokeToken(_ id: TokenID, at now: WallTime) throws(RegistryRefusal) {
    guard var token = tokens[id] else { throw .unknown("there is no token \(id)") }
    token.revoked = token.revoked ?? now
    set(token: id, token)
  }

  // MARK: - Enrolment

  /// What central does with an enrolment request.
  package enum Admission: Hashable, Sendable {
    /// The member needs a certificate: pass it to ``issued(_:server:to:at:)``.
    case admit(MemberRecord)
    /// The key has its certificate already.
    case admitted(MemberRecord)
    case waits(PendingRecord)
  }

  /// Decides about a request whose signature was checked. The same key always gets the same answer, and uses its token only once.
  ///
  /// - Parameter code: the HMAC of `body` that came with the request.
  package mutating func admit(
    _ request: EnrolmentRequest, key: Digest, token id: TokenID, body: [UInt8], code: [UInt8], at now: WallTime
  ) throws(RegistryRefusal) -> Admission {
    let token = try authenticated(id, body, code)
    guard request.nodeKind == token.nodeKind else {
      let verb = token.nodeKind == .region ? "muster-region enroll" : "muster-agent enroll"
      throw .refused("the token is for a \(token.nodeKind.rawValue): use it with \(verb)")
    }
    if let member = nodesByKey[key].flatMap({ members[$0] }) {
      if let revocation = member.revocation { throw .refused(revoked(member, revocation)) }
      // An ended certificate is issued again: the machine has shown that it has the key and a token.
      return member.certificate.map { $0.end > now } ?? false ? .admitted(member) : .admit(member)
    }
    if let revoked = revokedKeys[key] {
      throw .refused("the key of this machine was revoked: \(revoked). Remove its identity folder, so that it makes a new key")
    }
    if let waiting = pending[key] {
      if waiting.isRejected { throw .refused("an operator rejected this machine's request") }
      return .waits(waiting)
    }
    if let revoked = token.revoked { throw .refused("the enrolment token was withdrawn at \(revoked.words)") }
    guard now < token.expires else {
      throw .refused("the enrolment token expired at \(token.expires.words): ask an operator for a new one")
    }
    guard token.usesLeft > 0 else { throw .refused("the enrolment token has been used up: ask an operator for a new one") }

    let region = token.nodeKind == .device ? try chooseRegion(token.region) : nil
    let (node, taken) = try chooseID(request, token, key)
    if pending.count >= Self.maximumPending {
      for rejected in pending.values where rejected.isRejected { set(pending: rejected.key, nil) }
    }
    guard members.count < Self.maximumMembers, pending.count < Self.maximumPending else {
      throw .conflict("central has \(members.count) members, and \(pending.count) machines wait: it takes no more")
    }
    var used = token
    used.usesLeft -= 1
    set(token: id, used)
    let reason =
      taken
      ? "the id \(node) belongs to another key; accepting this one replaces that key"
      : token.needsApproval ? "the token asks for approval" : nil
    if let reason {
      let waiting = PendingRecord(
        key: key, node: node, nodeKind: token.nodeKind, region: region, labels: token.labels, server: token.server, token: id, since: now,
        reason: reason)
      set(pending: key, waiting)
      return .waits(waiting)
    }
    let member = MemberRecord(
      node: node, nodeKind: token.nodeKind, region: region, key: key, labels: token.labels, server: token.server, enrolled: now, token: id,
      revision: 1)
    set(member: member)
    return .admit(member)
  }

  /// The token whose secret the sender of a request has.
  package func authenticated(_ id: TokenID, _ body: [UInt8], _ code: [UInt8]) throws(RegistryRefusal) -> TokenRecord {
    guard let token = tokens[id], TokenKey(token.key).authenticates(body, with: code) else {
      // One answer for both, so that ids cannot be tried.
      throw .refused("central does not know this enrolment token: it may have expired, or belong to another fleet")
    }
    return token
  }

  /// Admits a machine that waits. A member that has the same id until now loses its certificate.
  package mutating func accept(_ key: Digest, at now: WallTime) throws(RegistryRefusal) -> MemberRecord {
    guard let waiting = pending[key], !waiting.isRejected else { throw .unknown("no machine with this key waits") }
    if let region = waiting.region { _ = try activeRegion(region) }
    guard members.count < Self.maximumMembers else { throw .conflict("central has \(members.count) members, and takes no more") }
    var revision = 1
    if let old = members[waiting.node] {
      guard old.nodeKind == waiting.nodeKind else { throw .conflict("\(waiting.node) is the id of a \(old.nodeKind.rawValue) by now") }
      if old.isActive { revokeCertificate(of: old, RevocationRecord(at: now, reason: "replaced by a new key")) }
      revision = old.revision + 1
    }
    set(pending: key, nil)
    let member = MemberRecord(
      node: waiting.node, nodeKind: waiting.nodeKind, region: waiting.region, key: key, labels: waiting.labels, server: waiting.server,
      enrolled: now, token: waiting.token, revision: revision)
    set(member: member)
    return member
  }

  package mutating func reject(_ key: Digest) throws(RegistryRefusal) {
    guard var waiting = pending[key] else { throw .unknown("no machine with this key waits") }
    waiting.isRejected = true
    set(pending: key, waiting)
  }

  /// Notes the certificate that was issued to a member: its first one, or a renewed one.
  ///
  /// - Parameter server: of a region, the certificate of its broker and its listeners; `nil` keeps the one that it has.
  package mutating func issued(
    _ certificate: IssuedCertificate, server: IssuedCertificate? = nil, to node: NodeID, at now: WallTime
  ) throws(RegistryRefusal) -> MemberRecord {
    var member = try active(node)
    guard member.key == certificate.key else { throw .conflict("\(node) has another key by now") }
    if let old = member.certificate {
      let earlier = (member.earlier ?? []) + [EarlierCertificate(serial: old.serial, end: old.end)]
      member.earlier = earlier.filter { $0.end > now }
    }
    member.certificate = CertificateRecord(certificate)
    if let server { member.serverCertificate = server.pem }
    set(member: member, showsInRoster: false)
    return member
  }

  // MARK: - Members

  /// A member that was not revoked.
  package func active(_ node: NodeID) throws(RegistryRefusal) -> MemberRecord {
    guard let member = members[node] else { throw .unknown("\(node) is not a member of this fleet") }
    if let revocation = member.revocation { throw .refused(revoked(member, revocation)) }
    return member
  }

  /// Takes a member's certificate away for good.
  package mutating func revoke(_ node: NodeID, reason: String, at now: WallTime) throws(RegistryRefusal) {
    var member = try active(node)
    let revocation = RevocationRecord(at: now, reason: reason)
    revokeCertificate(of: member, revocation)
    member.revocation = revocation
    member.revision += 1
    set(member: member)
  }

  package mutating func move(_ node: NodeID, to region: NodeID) throws(RegistryRefusal) {
    var member = try active(node)
    guard member.nodeKind == .device else { throw .conflict("\(node) is a region, and only devices can be moved") }
    _ = try activeRegion(region)
    guard member.region != region else { return }
    member.region = region
    member.revision += 1
    set(member: member)
  }

  /// Sets labels, and removes those whose value is `nil`.
  package mutating func label(_ node: NodeID, _ labels: [String: String?]) throws(RegistryRefusal) {
    var member = try active(node)
    for (name, value) in labels { member.labels[name] = value }
    try checkSize(of: member.labels)
    member.revision += 1
    set(member: member)
  }

  /// Removes what is known about a revoked member, so that its id is free again. Its certificate stays revoked.
  package mutating func forget(_ node: NodeID) throws(RegistryRefusal) {
    guard let member = members[node] else { throw .unknown("\(node) is not a member of this fleet") }
    guard !member.isActive else { throw .conflict("\(node) is a member: revoke it first") }
    place(node, nil)
    changes.append(.remove(.member, "\(node)"))
    bumpRoster()
  }

  /// The member with this key that was not revoked.
  package func active(key: Digest) throws(RegistryRefusal) -> MemberRecord {
    guard let node = nodesByKey[key] else { throw .refused("the key of this certificate belongs to no member of this fleet any more") }
    return try active(node)
  }

  /// The devices of a region that may take part, in the order of their ids.
  package func devices(of region: NodeID) -> [MemberRecord] {
    (devicesByRegion[region] ?? []).compactMap { members[$0] }.sorted { $0.node < $1.node }
  }

  /// The certificates that a list of revoked ones names, in the order of their numbers. Those that have ended are left out.
  package func revokedCertificates(at now: WallTime) -> [Revocation] {
    revocations.filter { $0.value.end > now }.map { Revocation(serial: $0.key, at: $0.value.at) }
      .sorted { $0.serial.description < $1.serial.description }
  }

  // MARK: -

  private func checkSize(of labels: [String: String]) throws(RegistryRefusal) {
    guard labels.reduce(0, { $0 + $1.key.utf8.count + $1.value.utf8.count + 6 }) <= 2048 else {
      throw .conflict("all labels of a device together must not exceed 2048 bytes")
    }
  }

  private func revoked(_ member: MemberRecord, _ revocation: RevocationRecord) -> String {
    "\(member.node) was revoked at \(revocation.at.words): \(revocation.reason)"
  }

  /// A device that took the id of a region that was forgotten is not one.
  private func isActiveRegion(_ node: NodeID) -> Bool { members[node].map { $0.isActive && $0.nodeKind == .region } ?? false }

  private func activeRegion(_ region: NodeID) throws(RegistryRefusal) -> MemberRecord {
    guard let member = members[region], member.nodeKind == .region, member.isActive else {
      throw .unknown("there is no region \(region): enrol it first with a token from muster region token create \(region)")
    }
    return member
  }

  private func chooseRegion(_ rule: TokenRecord.RegionRule) throws(RegistryRefusal) -> NodeID {
    if let region = rule.region { return try activeRegion(region).node }
    let regions = devicesByRegion.filter { isActiveRegion($0.key) }
    guard let region = regions.min(by: { ($0.value.count, $0.key) < ($1.value.count, $1.key) })?.key else {
      throw .conflict("the fleet has no region yet: enrol one first with a token from muster region token create")
    }
    return region
  }

  /// - Returns: the id, and whether another key has it.
  private func chooseID(
    _ request: EnrolmentRequest, _ token: TokenRecord, _ key: Digest
  ) throws(RegistryRefusal) -> (node: NodeID, isTaken: Bool) {
    if let node = token.node ?? request.id {
      guard token.node == nil || request.id == nil || request.id == node else {
        throw .refused("the enrolment token is for \(node), not for \(request.id.map { "\($0)" } ?? "")")
      }
      try checkFree(of: token.nodeKind, node)
      return (node, members[node] != nil || isAwaited(node))
    }
    var name = NodeID(host: request.host)
    if name.map({ members[$0] != nil || isAwaited($0) || reserved.contains($0) || isPromised($0) }) ?? true {
      name = NodeID(rawValue: "\((name ?? NodeID(unchecked: "device")).rawValue.prefix(58))-\(key.hexadecimal.prefix(4))")
    }
    guard let node = name, members[node] == nil, !isAwaited(node), !isPromised(node) else {
      throw .conflict("no id could be derived from the host name \"\(request.host.shown(63))\": give one with --id")
    }
    return (node, false)
  }

  private func isAwaited(_ node: NodeID) -> Bool { keysAwaiting[node]?.isEmpty == false }
  /// Whether a token gives this id.
  private func isPromised(_ node: NodeID) -> Bool { tokensByNode[node]?.isEmpty == false }

  /// Refuses reserved ids, and ids of the other kind of member.
  private func checkFree(of kind: NodeState.Kind, _ node: NodeID) throws(RegistryRefusal) {
    guard !reserved.contains(node) else { throw .refused("the id \(node) is reserved") }
    if let member = members[node], member.nodeKind != kind {
      throw .refused("\(node) is the id of a \(member.nodeKind.rawValue)")
    }
    let promised = (tokensByNode[node] ?? []).compactMap { tokens[$0] }
    if let token = promised.first(where: { $0.nodeKind != kind && $0.revoked == nil && $0.usesLeft > 0 }) {
      throw .refused("the id \(node) is meant for a \(token.nodeKind.rawValue)")
    }
  }

  private mutating func revokeCertificate(of member: MemberRecord, _ revocation: RevocationRecord) {
    guard let certificate = member.certificate else { return }
    let present = EarlierCertificate(serial: certificate.serial, end: certificate.end)
    for certificate in (member.earlier ?? []) + [present] {
      let entry = RevokedCertificate(
        node: member.node, key: member.key, at: revocation.at, reason: revocation.reason, end: certificate.end)
      restore(entry, certificate.serial)
      changes.append(.put(.revocation, "\(certificate.serial)", entry))
    }
    counters.revocations += 1
    changes.append(.put(.counters, "", counters))
  }

  private mutating func set(token id: TokenID, _ token: TokenRecord?) {
    place(id, token)
    changes.append(token.map { .put(.token, "\(id)", $0) } ?? .remove(.token, "\(id)"))
  }

  private mutating func set(pending key: Digest, _ waiting: PendingRecord?) {
    place(key, waiting)
    changes.append(waiting.map { .put(.pending, key.hexadecimal, $0) } ?? .remove(.pending, key.hexadecimal))
  }

  private mutating func set(member: MemberRecord, showsInRoster: Bool = true) {
    place(member.node, member)
    changes.append(.put(.member, "\(member.node)", member))
    if showsInRoster { bumpRoster() }
  }

  private mutating func bumpRoster() {
    counters.roster += 1
    changes.append(.put(.counters, "", counters))
  }

  // MARK: - Rows and what is found by them

  mutating func restore(_ revoked: RevokedCertificate, _ serial: SerialNumber) {
    revocations[serial] = revoked
    revokedKeys[revoked.key] = revoked.reason
  }

  mutating func restore(_ token: TokenRecord) { place(token.id, token) }
  mutating func restore(_ member: MemberRecord) { place(member.node, member) }
  mutating func restore(_ waiting: PendingRecord) { place(waiting.key, waiting) }

  private mutating func place(_ id: TokenID, _ token: TokenRecord?) {
    if let node = tokens[id]?.node { tokensByNode[node]?.remove(id) }
    tokens[id] = token
    if let node = token?.node { tokensByNode[node, default: []].insert(id) }
  }

  private mutating func place(_ node: NodeID, _ member: MemberRecord?) {
    if let old = members[node] {
      nodesByKey[old.key] = nil
      if let region = old.region { devicesByRegion[region]?.remove(node) }
    }
    members[node] = member
    guard let member else { return }
    nodesByKey[member.key] = node
    switch member.nodeKind {
    case .region: if devicesByRegion[node] == nil { devicesByRegion[node] = [] }
    case .device: if let region = member.region, member.isActive { devicesByRegion[region, default: []].insert(node) }
    }
  }

  private mutating func place(_ key: Digest, _ waiting: PendingRecord?) {
    if let old = pending[key] { keysAwaiting[old.node]?.remove(key) }
    pending[key] = waiting
    if let waiting, !waiting.isRejected { keysAwaiting[waiting.node, default: []].insert(key) }
  }
}
