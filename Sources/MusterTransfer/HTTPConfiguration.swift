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

  package init(connectSeconds: Double = 5, stallSeconds: Int = 30, maximumBody: Int = 16 << 20, idleConnections: Int = 16) {
    self.connectSeconds = connectSeconds
    self.stallSeconds = stallSeconds
    self.maximumBody = maximumBody
    self.idleConnections = idleConnections
  }
}
