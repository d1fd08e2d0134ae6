package import Logging
import MusterGround
package import MusterIdentity
import MusterSchema
import MusterTransfer

/// Keeps a member's certificate valid: asks central when it should be renewed, and gets the next one in time.
///
/// Central tells the seconds that are left, because the member's clock may be wrong. A new certificate replaces the old one only after
/// central has accepted it. It is for the same key, so both count meanwhile.
package struct CertificateRenewal: Sendable {
  private let folder: IdentityFolder
  private let central: String
  private let logger: Logger

  /// Central is asked at least this often, in case the certificate has to be renewed earlier than planned.
  private static let interval = 86_400.0
  private static let pauseAfterTrouble = 300.0

  /// - Parameter central: central's data address.
  package init(_ folder: IdentityFolder, central: String, logger: Logger) {
    self.folder = folder
    self.central = central
    self.logger = logger
  }

  /// Runs until the task is cancelled.
  package func run() async {
    while !Task.isCancelled {
      var pause = Self.pauseAfterTrouble
      do {
        pause = min(max(try await renewIfDue(), 1), Self.interval)
      } catch {
        if Task.isCancelled { return }
        logger.warning("central cannot be asked whether this machine's certificate has to be renewed: \(error)")
      }
      do { try await Task.sleep(for: .seconds(pause)) } catch { return }
    }
  }

  /// - Returns: seconds until the certificate should be renewed.
  package func renewIfDue() async throws -> Double {
    let client = try HTTPClient(HTTPConfiguration(tls: folder.clientTLS))
    let left = try await client.get(MembershipState.self, from: "\(central)/v1/enrolments/self").renewSeconds
    guard left <= 0 else { return left }
    let request = try folder.key().certificateRequest()
    let answer = try await client.send(
      "POST", "\(central)/v1/enrolments/renewal", body: Array(request.utf8), contentType: "application/x-pem-file")
    let enrolment: Enrolment = try answer.decode()
    let next = "\(folder.certificateFile).next"
    try await offload { () throws(FileError) in try Files.replace(next, with: Array(enrolment.certificate.utf8), durable: true) }
    var tls = folder.clientTLS
    tls.certificateFile = next
    let state = try await HTTPClient(HTTPConfiguration(tls: tls)).get(MembershipState.self, from: "\(central)/v1/enrolments/self")
    let file = folder.certificateFile
    try await offload { () throws(FileError) in
      try Files.rename(next, to: file)
      try Files.makeDurable(Files.folder(of: file))
    }
    logger.notice("this machine's certificate was renewed")
    return state.renewSeconds
  }
}
