import FoundationEssentials
import MusterGround
package import MusterIdentity
package import MusterMQTT
package import MusterSchema

/// The identity of a server in an enrolled fleet, in the folder `identity` of its state folder. Beside the files of ``IdentityFolder``:
///
/// | file | holds |
/// | --- | --- |
/// | `server.pem` | the certificate of its broker and its listeners, for the same key |
/// | `device-authority.pem` | the authority of the certificates that its broker and its data listener accept |
/// | `revoked.pem`, `acl` | the list of revoked certificates, and the access rules, for its broker |
/// | `server.json` | where its broker and its data listener are (``ServerPlace``) |
package struct ServerIdentity: Hashable, Sendable {
  package let folder: IdentityFolder
  package let place: ServerPlace

  package static func folder(in state: String) -> IdentityFolder { IdentityFolder("\(state)/identity") }

  package var serverCertificateFile: String { "\(folder.path)/server.pem" }
  package var deviceAuthorityFile: String { "\(folder.path)/device-authority.pem" }
  package var revocationsFile: String { Self.revocationsFile(folder) }
  package var rulesFile: String { Self.rulesFile(folder) }
  package static func revocationsFile(_ folder: IdentityFolder) -> String { "\(folder.path)/revoked.pem" }
  package static func rulesFile(_ folder: IdentityFolder) -> String { "\(folder.path)/acl" }
  private static func placeFile(_ folder: IdentityFolder) -> String { "\(folder.path)/server.json" }

  /// Reads the identity of the server with this state folder; `nil` in a plain fleet. Blocks.
  package init?(in state: String) throws(ConfigurationError) {
    folder = Self.folder(in: state)
    let file = Self.placeFile(folder)
    do {
      place = try JSON.decode(ServerPlace.self, from: try Files.read(file, atMost: 64 << 10))
    } catch let error as FileError {
      if error.isMissing { return nil }
      throw ConfigurationError("state", "\(error)")
    } catch {
      throw ConfigurationError("state", "\(file) is damaged: \(error)")
    }
  }

  /// Stores what only servers have. ``IdentityFolder/store(_:certificate:)`` comes before. Blocks until it is durable; `server.json` is
  /// written last, because it marks that the rest is there.
  package static func store(
    in folder: IdentityFolder, place: ServerPlace, certificate: String, deviceAuthority: String, revocations: String, rules: String
  ) throws {
    try Files.replace(revocationsFile(folder), with: Array(revocations.utf8), durable: true)
    try Files.replace(rulesFile(folder), with: Array(rules.utf8), durable: true)
    try Files.replace("\(folder.path)/server.pem", with: Array(certificate.utf8), durable: true)
    try Files.replace("\(folder.path)/device-authority.pem", with: Array(deviceAuthority.utf8), durable: true)
    try Files.replace(placeFile(folder), with: try JSON.encode(place), durable: true)
  }

  /// TLS for the data listener: members show their certificates.
  package var dataTLS: ListenerTLS {
    ListenerTLS(certificateFile: serverCertificateFile, keyFile: folder.keyFile, callerAuthorityFile: deviceAuthorityFile)
  }
}

extension MQTTConfiguration {
  /// Shows the broker the certificate in the folder, and checks the broker's.
  package mutating func use(_ identity: IdentityFolder) {
    authorityFile = identity.authorityFile
    certificateFile = identity.certificateFile
    keyFile = identity.keyFile
  }
}
