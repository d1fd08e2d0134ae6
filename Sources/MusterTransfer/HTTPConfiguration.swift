/// The bounds of an ``HTTPClient``.
package struct HTTPConfiguration: Hashable, Sendable {
  /// Seconds to connect, name resolution included.
  package var connectSeconds: Double
  /// A transfer in which less than a byte a second moved for so many seconds is given up.
  package var stallSeconds: Int
  /// Bytes of an answer that is read into memory.
  package var maximumBody: Int
  /// Connections that are kept open for reuse.
  package var idleConnections: Int

  package init(connectSeconds: Double = 5, stallSeconds: Int = 30, maximumBody: Int = 16 << 20, idleConnections: Int = 16) {
    self.connectSeconds = connectSeconds
    self.stallSeconds = stallSeconds
    self.maximumBody = maximumBody
    self.idleConnections = idleConnections
  }
}
