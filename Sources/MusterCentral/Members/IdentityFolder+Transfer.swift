import MusterIdentity
import MusterTransfer

extension IdentityFolder {
  /// TLS for requests to other servers of the fleet.
  var clientTLS: ClientTLS {
    ClientTLS(trust: .authority(file: authorityFile), certificateFile: certificateFile, keyFile: keyFile)
  }
}
