package import MusterIdentity
package import MusterTransfer

extension IdentityFolder {
  /// TLS for requests to servers of the fleet.
  package var clientTLS: ClientTLS {
    ClientTLS(trust: .authority(file: authorityFile), certificateFile: certificateFile, keyFile: keyFile)
  }
}
