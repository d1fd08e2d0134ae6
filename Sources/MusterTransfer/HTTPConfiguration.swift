/// Time limits and size limits of an ``HTTPClient``.
package struct HTTPConfiguration: Hashable, Sendable {
  /// Seconds that connecting may take, including name resolution.
  package var connectSeconds: Double
  /// A transfer that moves less than one byte per second for this many seconds is given up.
  package var stallSeconds: Int
  /// The largest answer in bytes that is read into memory.
  package var maximumBody: Int
  /// The number of connections that are kept open for reuse.
  package var idleConnections: Int
  /// The authority and the certificate for `https`; `nil` trusts the authorities of the system and shows no certificate.
  package var tls: ClientTLS?

  package init(
    connectSeconds: Double = 5, stallSeconds: Int = 30, maximumBody: Int = 16 << 20, idleConnections: Int = 16, tls: ClientTLS? = nil
  ) {
    self.connectSeconds = connectSeconds
    self.stallSeconds = stallSeconds
    self.maximumBody = maximumBody
    self.idleConnections = idleConnections
    self.tls = tls
  }
}

/// How a client checks servers, and shows who it is.
package struct ClientTLS: Hashable, Sendable {
  package enum Trust: Hashable, Sendable {
    /// Servers need a certificate of the authority in this PEM file, for the name in the address.
    case authority(file: String)
    /// Any server is believed. Only for fetching an authority whose digest is known already.
    case unverified
  }

  package var trust: Trust
  /// The PEM files of the certificate that the client shows, and of its key.
  package var certificateFile: String?
  package var keyFile: String?

  package init(trust: Trust, certificateFile: String? = nil, keyFile: String? = nil) {
    self.trust = trust
    self.certificateFile = certificateFile
    self.keyFile = keyFile
  }
}
