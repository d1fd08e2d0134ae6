import MusterAuthority
import MusterGround
import MusterIdentity
import MusterSchema
package import MusterServer

/// `muster-central init`: makes the authorities of a new fleet, and central's own certificates.
package enum CentralSetup {
  package static let verb = ServerMain.Verb(
    "init", help: "init --names HOST[,HOST…]   makes the authorities of a fleet with identities; the names are those of this machine"
  ) { settings, defaultState, words in
    let state = try await settings.state(default: defaultState)
    let names = try await names(settings)
    let first = names[0]
    let place = ServerPlace(
      names: names.map(\.name),
      broker: "mqtts://\(HostAndPort(first, port: try await settings.number("broker.port", default: 8883, in: 1...65535)))",
      data: "https://\(HostAndPort(first, port: try await settings.number("data.port", default: 7400, in: 1...65535)))")
    try settings.refuseUnknownFlags()
    guard words.isEmpty else { throw ConfigurationError("init", "unexpected words: \(words.joined(separator: " ").shown(100))") }
    let authorities = try make(in: state, place, names)
    print(
      """
      The authorities of a new fleet are in \(folder(in: state).path). Keep a copy of that folder where only you can read it.
      server authority  \(authorities.server.digest)
      data address      \(place.data)
      broker            \(place.broker)
      """)
  }

  static func folder(in state: String) -> AuthorityFolder { AuthorityFolder("\(state)/authority") }

  private static func names(_ settings: ServerSettings) async throws -> [Host] {
    let texts = try await settings.list("names") ?? []
    guard !texts.isEmpty else {
      throw ConfigurationError("names", "is missing: the names and addresses by which regions and devices reach this machine")
    }
    do { return try texts.map { try Host(validating: $0) } } catch { throw ConfigurationError("names", "\(error)") }
  }

  /// Blocks. An earlier call that was interrupted is continued.
  static func make(in state: String, _ place: ServerPlace, _ names: [Host]) throws -> Authorities {
    let folder = folder(in: state)
    if try ServerIdentity(in: state) != nil {
      guard folder.isThere else {
        throw ConfigurationError(
          "init", "\(folder.path) is lost, but members of its fleet may exist: restore it from its copy, or remove \(state) to begin again")
      }
      throw AuthorityError.exists(folder: folder.path)
    }
    try Files.makeFolder(state)
    if !folder.isThere { try folder.make() }
    let authorities = try folder.load()
    let identity = ServerIdentity.folder(in: state)
    let own = try identity.key()
    let key = try RequestedKey(request: try own.certificateRequest())
    guard let server = authorities.serverKey else {
      throw ConfigurationError("init", "the key of the server authority is missing in \(folder.path)")
    }
    // Central could issue itself another certificate at any time, so an end would protect nothing.
    let certificate = try authorities.device.issue(member: .central, for: key, days: 100 * 365, at: .now)
    let statement = MemberStatement(
      node: .central, nodeKind: .region, key: key.fingerprint, broker: place.broker, central: place.data, revision: 1, generation: 0)
    let member = String(decoding: try MessageCoder.sign(statement, with: authorities.statements), as: UTF8.self)
    try identity.store(
      try Identity(authority: authorities.server, trust: authorities.trustLine, member: member), certificate: certificate.pem)
    try ServerIdentity.store(
      in: identity, place: place, certificate: try server.issue(server: .central, names: names, for: key).pem,
      deviceAuthority: try authorities.device.pem, revocations: try authorities.device.revocationList([], number: 0),
      rules: BrokerRules.central(regions: []))
    return authorities
  }
}
