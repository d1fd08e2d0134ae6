import MusterGround
import MusterSchema
package import NIOSSL

/// The certificate of a listener, and the authority of the callers that it identifies.
package struct ListenerTLS: Hashable, Sendable {
  /// PEM files.
  package var certificateFile: String
  package var keyFile: String
  /// Callers may show a certificate of this authority. One that does not hold ends the connection; without one, a caller is a stranger.
  /// `nil` asks callers for no certificate.
  package var callerAuthorityFile: String?

  package init(certificateFile: String, keyFile: String, callerAuthorityFile: String? = nil) {
    self.certificateFile = certificateFile
    self.keyFile = keyFile
    self.callerAuthorityFile = callerAuthorityFile
  }

  /// - Throws: ``ListenerError`` for files that cannot be read or are not what they should be. Blocks.
  package func configuration() throws(ListenerError) -> TLSConfiguration {
    let chain = try certificates(certificateFile)
    let key: NIOSSLPrivateKey
    do {
      key = try NIOSSLPrivateKey(bytes: try bytes(keyFile), format: .pem)
    } catch let error as ListenerError {
      throw error
    } catch {
      throw ListenerError(description: "\(keyFile) is not a private key in PEM: \(error)")
    }
    var configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
    configuration.minimumTLSVersion = .tlsv12
    if let callerAuthorityFile {
      configuration.trustRoots = .certificates(try certificates(callerAuthorityFile))
      configuration.certificateVerification = .optionalVerification
    }
    return configuration
  }

  private func certificates(_ file: String) throws(ListenerError) -> [NIOSSLCertificate] {
    do {
      let certificates = try NIOSSLCertificate.fromPEMBytes(try bytes(file))
      guard !certificates.isEmpty else { throw ListenerError(description: "\(file) holds no certificate in PEM") }
      return certificates
    } catch let error as ListenerError {
      throw error
    } catch {
      throw ListenerError(description: "\(file) is not a certificate in PEM: \(error)")
    }
  }

  private func bytes(_ file: String) throws(ListenerError) -> [UInt8] {
    do { return try Files.read(file, atMost: 1 << 20) } catch { throw ListenerError(description: "\(error)") }
  }
}
