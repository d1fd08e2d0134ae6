import Glibc
import MusterEnrolment
import MusterIdentity
import MusterSchema
package import MusterServer

/// `muster-region enroll`: makes the machine the server of a region.
package enum RegionSetup {
  package static let verb = ServerMain.Verb(
    "enroll", help: "enroll TOKEN        becomes the server of a region, with a token from muster region token create"
  ) { settings, defaultState, words in
    let state = try await settings.state(default: defaultState)
    try settings.refuseUnknownFlags()
    guard words.count <= 1 else {
      throw ConfigurationError("enroll", "takes one token, but there are \(words.count) words: was the token cut?")
    }
    var text = words.first ?? getenv("MUSTER_TOKEN").map { String(cString: $0) } ?? ""
    if text == "-" { text = readLine() ?? "" }
    let folder = ServerIdentity.folder(in: state)
    let identity: Identity
    if let present = try folder.identity(), try ServerIdentity(in: state) != nil {
      identity = present
      print("this machine is a member already")
    } else {
      identity = try await enrol(try EnrolmentToken(parsing: text.filter { !$0.isWhitespace }), folder)
    }
    print(
      """
      region            \(identity.member.node)
      central's broker  \(identity.member.broker)
      central           \(identity.member.central)
      """)
  }

  private static func enrol(_ token: EnrolmentToken, _ folder: IdentityFolder) async throws -> Identity {
    let (identity, answer) = try await EnrolmentClient(token, folder: folder).enrol(id: nil, host: "region", nodeKind: .region) { pending in
      note("waiting to be accepted as \(pending.id): \(pending.reason). The operator sees this key: \(pending.key)")
    } troubled: { error in
      note("\(error); trying again")
    }
    guard identity.member.nodeKind == .region, let place = answer.place, let server = answer.server, let devices = answer.deviceAuthority,
      let revocations = answer.revocations
    else {
      throw IdentityError.malformed("the token is for the device \(identity.member.node): use it with muster-agent enroll")
    }
    try folder.store(identity, certificate: answer.certificate)
    try ServerIdentity.store(
      in: folder, place: place, certificate: server, deviceAuthority: devices, revocations: revocations,
      rules: BrokerRules.region(identity.member.node))
    return identity
  }

  @Sendable private static func note(_ line: String) {
    _ = "muster-region: \(line)\n".withCString { write(2, $0, strlen($0)) }
  }
}
