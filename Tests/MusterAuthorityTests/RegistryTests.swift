import MusterIdentity
import MusterSchema
import Testing

@testable import MusterAuthority

/// A registry with the rows that were committed, and machines that ask it.
private struct Bench {
  var registry: Registry
  var rows: [String: (kind: String, key: String, body: [UInt8])] = [:]
  var now = WallTime(milliseconds: 1_795_000_000_000)
  private var secrets: [TokenID: [UInt8]] = [:]

  init(reserved: Set<NodeID> = [], regions: [String] = ["north"]) throws {
    registry = Registry(reserved: reserved)
    for region in regions {
      try token("region-\(region)", .region, node: region)
      _ = try certify(try #require(try ask("region-\(region)", key: "key of \(region)", host: "x").admitted))
    }
  }

  mutating func later(seconds: Int64) { now = WallTime(milliseconds: now.milliseconds + seconds * 1000) }

  mutating func token(
    _ name: String, _ kind: NodeState.Kind = .device, region: TokenRecord.RegionRule = .leastLoaded, node: String? = nil,
    approve: Bool = false, uses: Int = 10
  ) throws {
    let id = TokenID(unchecked: name)
    let secret = Array(Digest(of: name.utf8).bytes.prefix(16))
    secrets[id] = secret
    let token = EnrolmentToken(
      id: id, entry: try ServerAddress(base: "https://central:7400"), authority: Digest(of: [1]), secret: secret)
    try registry.add(
      TokenRecord(
        id: id, key: token.key, nodeKind: kind, region: region, node: node.map { NodeID(unchecked: $0) }, labels: ["site": "hall-3"],
        needsApproval: approve, uses: uses, expires: WallTime(milliseconds: now.milliseconds + 86_400_000), created: now), at: now)
    try commit()
  }

  mutating func ask(
    _ name: String, key: String, id: String? = nil, host: String = "pi", altered: Bool = false, kind: NodeState.Kind? = nil
  ) throws -> Registry.Admission {
    let token = TokenID(unchecked: name)
    let request = EnrolmentRequest(
      request: key, id: id.map { NodeID(unchecked: $0) }, host: host, nodeKind: kind ?? registry.token(token)?.nodeKind ?? .device)
    let body = try JSON.encode(request)
    let known = EnrolmentToken(
      id: token, entry: try ServerAddress(base: "https://central:7400"), authority: Digest(of: [1]),
      secret: secrets[token] ?? [UInt8](repeating: 0, count: 16))
    let code = known.key.authentication(of: body)
    let admission = try registry.admit(
      request, key: Self.fingerprint(key), token: token, body: altered ? body + [0] : body, code: code, at: now)
    try commit()
    return admission
  }

  static func fingerprint(_ key: String) -> Digest { Digest(of: key.utf8) }

  mutating func certify(_ member: MemberRecord) throws -> MemberRecord {
    let serial = try #require(SerialNumber(member.key.hexadecimal.prefix(32)))
    let issued = IssuedCertificate(
      pem: "certificate \(member.revision)", serial: serial, end: WallTime(milliseconds: now.milliseconds + 90 * 86_400_000),
      key: member.key)
    defer { try? commit() }
    return try registry.issued(issued, to: member.node, at: now)
  }

  mutating func commit() throws {
    for change in registry.takeChanges() {
      rows["\(change.kind)/\(change.key)"] = try change.body.map { (change.kind.rawValue, change.key, $0) }
    }
  }

  /// The registry as a restart finds it.
  var restored: Registry { get throws { try Registry(restoring: rows.values) } }
}

extension Registry.Admission {
  fileprivate var admitted: MemberRecord? {
    guard case .admit(let member) = self else { return nil }
    return member
  }

  fileprivate var waiting: PendingRecord? {
    guard case .waits(let waiting) = self else { return nil }
    return waiting
  }
}

private func id(_ text: String) -> NodeID { NodeID(unchecked: text) }

@Suite("The registry of members")
struct RegistryTests {
  private func refusal<Result>(_ body: () throws -> Result) -> String {
    do {
      _ = try body()
      return "accepted"
    } catch {
      return "\(error)"
    }
  }

  @Test("a machine becomes a member of the region with the fewest devices, with the labels of its token")
  func enrolled() throws {
    var bench = try Bench(regions: ["north", "south"])
    try bench.token("t", uses: 3)
    let first = try bench.certify(try #require(try bench.ask("t", key: "a", host: "Pi_One.lan").admitted))
    #expect(first.node == id("pi-one") && first.region == id("north") && first.labels == ["site": "hall-3"])
    #expect(try bench.ask("t", key: "b", host: "pi-two").admitted?.region == id("south"))
    #expect(try bench.ask("t", key: "c", id: "mine").admitted?.node == id("mine"))
    #expect(bench.registry.devices(of: id("north")).map(\.node) == [id("mine"), id("pi-one")])
  }

  @Test("asking again with the same key gives the same member, and uses the token only once")
  func idempotent() throws {
    var bench = try Bench()
    try bench.token("t", uses: 1)
    let member = try #require(try bench.ask("t", key: "a").admitted)
    // The answer was lost before the certificate was issued.
    #expect(try bench.ask("t", key: "a") == .admit(member))
    let certified = try bench.certify(member)
    bench.later(seconds: 10 * 86_400)
    #expect(try bench.ask("t", key: "a") == .admitted(certified))
    #expect(refusal { try bench.ask("t", key: "b") }.contains("expired at 2026-"))
  }

  @Test("a token counts its uses, ends, and can be withdrawn")
  func tokens() throws {
    var bench = try Bench()
    try bench.token("once", uses: 1)
    _ = try bench.ask("once", key: "a")
    #expect(refusal { try bench.ask("once", key: "b") }.contains("used up"))
    try bench.token("withdrawn")
    try bench.registry.revokeToken(TokenID(unchecked: "withdrawn"), at: bench.now)
    #expect(refusal { try bench.ask("withdrawn", key: "b") }.contains("withdrawn at"))
    try bench.token("old")
    bench.later(seconds: 86_401)
    #expect(refusal { try bench.ask("old", key: "b") }.contains("expired at"))
    // Tokens that ended a month ago are forgotten when a new one is made.
    bench.later(seconds: 31 * 86_400)
    try bench.token("new")
    #expect(bench.registry.allTokens.count == 1)
    #expect(throws: RegistryRefusal.unknown("there is no token old")) {
      try bench.registry.revokeToken(TokenID(unchecked: "old"), at: bench.now)
    }
  }

  @Test("an unknown token, a wrong secret and an altered request get the same answer")
  func authentication() throws {
    var bench = try Bench()
    try bench.token("t")
    let unknown = refusal { try bench.ask("none", key: "a") }
    #expect(unknown.contains("does not know this enrolment token"))
    #expect(refusal { try bench.ask("t", key: "a", altered: true) } == unknown)
    #expect(bench.registry.token(TokenID(unchecked: "t"))?.usesLeft == 10)
  }

  @Test("nobody enrols as central, as a region, or under a name of the broker's password file")
  func reserved() throws {
    var bench = try Bench(reserved: [id("engineer")])
    try bench.token("t")
    for (name, why) in [("central", "reserved"), ("engineer", "reserved"), ("north", "is the id of a region")] {
      #expect(refusal { try bench.ask("t", key: "a", id: name) }.contains(why))
      // A host of that name gets another id.
      let member = try #require(try bench.ask("t", key: "host \(name)", host: name).admitted)
      #expect(member.node.rawValue.hasPrefix("\(name)-") && member.nodeKind == .device)
    }
    // Nor does a region enrol as a device, or under an id that a token promises to one.
    _ = try bench.ask("t", key: "b", id: "pi-9")
    #expect(refusal { try bench.token("r", .region, node: "pi-9") }.contains("is the id of a device"))
    try bench.token("for-pi", node: "pi-5")
    #expect(refusal { try bench.token("r", .region, node: "pi-5") }.contains("is meant for a device"))
  }

  @Test("a taken id waits for an operator, who replaces the old key; its certificate no longer counts")
  func replaced() throws {
    var bench = try Bench()
    try bench.token("t")
    let old = try bench.certify(try #require(try bench.ask("t", key: "old", id: "pi-1").admitted))
    let waiting = try #require(try bench.ask("t", key: "new", id: "pi-1").waiting)
    #expect(waiting.reason.contains("belongs to another key") && waiting.key == Bench.fingerprint("new"))
    #expect(try bench.ask("t", key: "new", id: "pi-1") == .waits(waiting))
    #expect(try bench.registry.active(id("pi-1")).key == old.key)
    let accepted = try bench.registry.accept(waiting.key, at: bench.now)
    #expect(accepted.key == waiting.key && accepted.revision > old.revision)
    let certified = try bench.certify(accepted)
    #expect(try bench.ask("t", key: "new", id: "pi-1") == .admitted(certified))
    #expect(bench.registry.revokedCertificates(at: bench.now).map(\.serial) == [try #require(old.certificate).serial])
    // The old key does not count any more, under any id.
    #expect(refusal { try bench.ask("t", key: "old", id: "pi-7") }.contains("was revoked: replaced by a new key"))
    #expect(throws: RegistryRefusal.conflict("pi-1 has another key by now")) {
      try bench.registry.issued(
        IssuedCertificate(pem: "", serial: try #require(SerialNumber("aa")), end: bench.now, key: old.key), to: id("pi-1"), at: bench.now)
    }
  }

  @Test("a token can ask for approval; a rejected machine is told so, and its id is free again")
  func approval() throws {
    var bench = try Bench()
    try bench.token("t", approve: true)
    let waiting = try #require(try bench.ask("t", key: "a", id: "pi-1").waiting)
    #expect(waiting.reason == "the token asks for approval")
    // Two machines that want one id.
    #expect(try bench.ask("t", key: "b", id: "pi-1").waiting?.reason.contains("belongs to another key") == true)
    try bench.registry.reject(waiting.key)
    #expect(refusal { try bench.ask("t", key: "a", id: "pi-1") } == "an operator rejected this machine's request")
    #expect(throws: RegistryRefusal.self) { try bench.registry.accept(waiting.key, at: bench.now) }
  }

  @Test("a revoked member is told when and why; its id is free once it is forgotten, its certificate stays revoked until it ends")
  func revoked() throws {
    var bench = try Bench()
    try bench.token("t")
    let member = try bench.certify(try #require(try bench.ask("t", key: "a", id: "pi-1").admitted))
    let before = bench.registry.counters
    #expect(throws: RegistryRefusal.self) { try bench.registry.forget(id("pi-1")) }
    try bench.registry.revoke(id("pi-1"), reason: "lost", at: bench.now)
    try bench.commit()
    #expect(bench.registry.counters.roster > before.roster && bench.registry.counters.revocations > before.revocations)
    #expect(bench.registry.devices(of: id("north")).isEmpty)
    let why = refusal { try bench.ask("t", key: "a", id: "pi-1") }
    #expect(why.hasPrefix("pi-1 was revoked at 2026-") && why.hasSuffix(": lost"))
    #expect(refusal { try bench.registry.active(id("pi-1")) } == why)
    // A new key under the old id needs an operator.
    #expect(try bench.ask("t", key: "b", id: "pi-1").waiting != nil)
    try bench.registry.forget(id("pi-1"))
    try bench.commit()
    #expect(refusal { try bench.ask("t", key: "a", id: "pi-8") }.contains("was revoked: lost"))
    #expect(try bench.ask("t", key: "c", id: "pi-7").admitted != nil)
    let serial = try #require(member.certificate).serial
    #expect(bench.registry.revokedCertificates(at: bench.now).map(\.serial) == [serial])
    bench.later(seconds: 91 * 86_400)
    #expect(bench.registry.revokedCertificates(at: bench.now).isEmpty)
  }

  @Test("when a member is revoked, its earlier certificates that have not ended are, too")
  func renewedThenRevoked() throws {
    var bench = try Bench()
    try bench.token("t")
    let member = try bench.certify(try #require(try bench.ask("t", key: "a", id: "pi-1").admitted))
    let first = try #require(member.certificate)
    func renewal(_ serial: String) throws -> IssuedCertificate {
      IssuedCertificate(
        pem: serial, serial: try #require(SerialNumber(serial)), end: WallTime(milliseconds: bench.now.milliseconds + 90 * 86_400_000),
        key: member.key)
    }
    bench.later(seconds: 60 * 86_400)
    _ = try bench.registry.issued(try renewal("0b"), to: id("pi-1"), at: bench.now)
    bench.later(seconds: 60 * 86_400)
    // The first one has ended by now, and need not be listed.
    _ = try bench.registry.issued(try renewal("0c"), to: id("pi-1"), at: bench.now)
    try bench.registry.revoke(id("pi-1"), reason: "lost", at: bench.now)
    let listed = bench.registry.revokedCertificates(at: bench.now).map { "\($0.serial)" }
    #expect(listed == ["0b", "0c"] && !listed.contains("\(first.serial)"))
  }

  @Test("devices move between regions and are labelled; regions are not moved")
  func movedAndLabelled() throws {
    var bench = try Bench(regions: ["north", "south"])
    try bench.token("t", region: .fixed(id("north")))
    let member = try #require(try bench.ask("t", key: "a", id: "pi-1").admitted)
    try bench.registry.move(id("pi-1"), to: id("south"))
    try bench.registry.label(id("pi-1"), ["site": nil, "floor": "2"])
    let now = try bench.registry.active(id("pi-1"))
    #expect(now.region == id("south") && now.labels == ["floor": "2"] && now.revision == member.revision + 2)
    #expect(bench.registry.devices(of: id("north")).isEmpty && bench.registry.devices(of: id("south")).map(\.node) == [id("pi-1")])
    #expect(throws: RegistryRefusal.self) { try bench.registry.move(id("pi-1"), to: id("east")) }
    #expect(throws: RegistryRefusal.self) { try bench.registry.move(id("north"), to: id("south")) }
    #expect(throws: RegistryRefusal.self) { try bench.registry.label(id("pi-1"), ["a": String(repeating: "b", count: 2100)]) }
  }

  @Test("without a region there is nothing to join, and a token names a region that exists")
  func noRegion() throws {
    var bench = try Bench(regions: [])
    try bench.token("t")
    #expect(refusal { try bench.ask("t", key: "a") }.contains("the fleet has no region yet"))
    #expect(refusal { try bench.token("u", region: .fixed(id("north"))) }.contains("muster region token create north"))
    #expect(bench.registry.token(TokenID(unchecked: "t"))?.usesLeft == 10, "a refusal uses no token")
  }

  @Test("host names become ids", arguments: [("raspberrypi", "raspberrypi"), ("Édge", "dge"), ("--", "device-"), ("", "device-")])
  func hosts(_ host: String, _ expected: String) throws {
    var bench = try Bench()
    try bench.token("t")
    let member = try #require(try bench.ask("t", key: "a", host: host).admitted)
    #expect(member.node.rawValue.hasPrefix(expected) && NodeID(rawValue: member.node.rawValue) != nil)
    let second = try #require(try bench.ask("t", key: "b", host: host).admitted)
    #expect(second.node != member.node)
  }

  @Test("a token of the other kind is refused before it is used")
  func wrongKind() throws {
    var bench = try Bench()
    try bench.token("t", uses: 1)
    #expect(refusal { try bench.ask("t", key: "a", kind: .region) }.contains("the token is for a device: use it with muster-agent enroll"))
    #expect(try bench.ask("t", key: "a").admitted != nil)
  }

  @Test("a device never counts as a region, whatever its id was before")
  func formerRegion() throws {
    var bench = try Bench(regions: ["north", "south"])
    try bench.token("t", region: .fixed(id("north")), approve: true)
    let waiting = try #require(try bench.ask("t", key: "a", id: "pi-1").waiting)
    try bench.registry.revoke(id("north"), reason: "closed", at: bench.now)
    #expect(throws: RegistryRefusal.self) { try bench.registry.accept(waiting.key, at: bench.now) }
    try bench.registry.forget(id("north"))
    bench.later(seconds: 40 * 86_400)
    try bench.token("u")
    _ = try bench.ask("u", key: "b", id: "north")
    #expect(bench.registry.regions == [id("south")])
    #expect(try bench.ask("u", key: "c").admitted?.region == id("south"))
  }

  @Test("rejecting one of two machines that wait for an id leaves it taken by the other")
  func twoWait() throws {
    var bench = try Bench()
    try bench.token("t", approve: true)
    try bench.token("u")
    _ = try bench.ask("t", key: "a", id: "pi-1")
    let second = try #require(try bench.ask("t", key: "b", id: "pi-1").waiting)
    try bench.registry.reject(second.key)
    #expect(try bench.ask("u", key: "c", id: "pi-1").waiting != nil)
  }

  @Test("a machine that waits longer than its token is valid is still known")
  func longWait() throws {
    var bench = try Bench()
    try bench.token("t", approve: true)
    let waiting = try #require(try bench.ask("t", key: "a").waiting)
    bench.later(seconds: 60 * 86_400)
    try bench.token("other")
    #expect(try bench.ask("t", key: "a") == .waits(waiting))
  }

  @Test("a restart finds everything as it was")
  func restart() throws {
    var bench = try Bench(regions: ["north", "south"])
    try bench.token("t")
    try bench.token("gone", uses: 1)
    for key in ["a", "b", "c"] { _ = try bench.certify(try #require(try bench.ask("t", key: key, id: "pi-\(key)").admitted)) }
    let waiting = try #require(try bench.ask("gone", key: "d", id: "pi-a").waiting)
    try bench.registry.revoke(id("pi-b"), reason: "stolen", at: bench.now)
    try bench.registry.move(id("pi-c"), to: id("south"))
    try bench.commit()
    let (live, restored) = (bench.registry, try bench.restored)
    #expect(restored.allMembers == live.allMembers && restored.allTokens == live.allTokens && restored.allPending == live.allPending)
    #expect(restored.revokedCertificates(at: bench.now) == live.revokedCertificates(at: bench.now) && restored.counters == live.counters)
    for region in ["north", "south"] { #expect(restored.devices(of: id(region)) == live.devices(of: id(region))) }
    bench.registry = restored
    #expect(try bench.ask("gone", key: "d", id: "pi-a") == .waits(waiting))
    guard case .admitted = try bench.ask("t", key: "a") else { return #expect(Bool(false), "the key is not found after a restart") }
    bench.rows["token/t"] = ("token", "t", Array("{}".utf8))
    #expect(refusal { try bench.restored }.contains("the row token t of the registry cannot be read"))
    bench.rows["future/x"] = ("future", "x", [])
    bench.rows["token/t"] = nil
    #expect(refusal { try bench.restored }.contains("does not know rows of this kind"))
  }
}
