import MusterGround
package import MusterIdentity
import MusterSchema

/// The device's identity in an enrolled fleet, and the folder that it came from.
package struct AgentIdentity: Hashable, Sendable {
  package let folder: IdentityFolder
  package let identity: Identity

  /// Reads the identity in a folder; `nil` if the device has not enrolled. Blocks.
  init?(_ path: String?) throws(AgentConfigurationError) {
    guard let path else { return nil }
    folder = IdentityFolder(path)
    do {
      guard let found = try folder.identity() else { return nil }
      identity = found
    } catch {
      throw AgentConfigurationError("identity", in: path, "\(error)")
    }
    guard identity.member.nodeKind == .device else {
      throw AgentConfigurationError("identity", in: path, "is the identity of the region \(identity.member.node), not of a device")
    }
  }
}
