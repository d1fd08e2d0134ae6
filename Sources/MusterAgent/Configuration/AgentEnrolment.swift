import Glibc
import MusterEnrolment
import MusterIdentity
import MusterSchema

/// `muster-agent enroll`: makes the device a member.
package struct AgentEnrolment: Sendable {
  private let token: EnrolmentToken
  private let id: NodeID?
  private let folder: IdentityFolder

  /// - Parameters:
  ///   - identity: the folder for the identity; `nil` uses the folder `identity` in the state folder.
  ///   - state: the state folder; `nil` uses the default.
  /// - Throws: an error for a token or an id that is not valid.
  package init(token: String, id: String?, identity: String?, state: String?, environment: [String: String]) throws {
    self.token = try EnrolmentToken(parsing: token.filter { !$0.isWhitespace })
    self.id = try id.map { try NodeID(validating: $0) }
    guard let folder = identity ?? (state ?? AgentConfiguration.defaultState(environment)).map({ "\($0)/identity" }) else {
      throw AgentConfigurationError("state", HomeFolder.missing)
    }
    self.folder = IdentityFolder(folder)
  }

  /// Runs until the device is a member or is refused.
  ///
  /// - Parameter note: receives a line about the progress.
  /// - Returns: what the device is now, for people.
  package func run(_ note: @escaping @Sendable (String) -> Void) async throws -> String {
    if let present = try folder.identity() {
      guard present.authority.digest == token.authority else {
        throw IdentityError.malformed("this device is a member of another fleet already: remove \(folder.path) first, if that is over")
      }
      return "this device is a member already\n\(Self.report(present))"
    }
    var host = [CChar](repeating: 0, count: 256)
    gethostname(&host, host.count - 1)
    let name = String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let (identity, answer) = try await EnrolmentClient(token, folder: folder).enrol(id: id, host: name, nodeKind: .device) { pending in
      note("waiting to be accepted as \(pending.id): \(pending.reason). The operator sees this key: \(pending.key)")
    } troubled: { error in
      note("\(error); trying again")
    }
    guard identity.member.nodeKind == .device else {
      throw IdentityError.malformed("the token is for the region \(identity.member.node): use it with muster-region enroll")
    }
    try folder.store(identity, certificate: answer.certificate)
    return Self.report(identity)
  }

  private static func report(_ identity: Identity) -> String {
    let member = identity.member
    return """
      device   \(member.node)
      region   \(member.region.map { "\($0)" } ?? "")
      broker   \(member.broker)
      central  \(member.central)
      """
  }
}
