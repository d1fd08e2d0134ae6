/// Limits of a listener's connections and of slow clients.
///
/// A request beyond a limit is answered with a status that fits, and logged at a limited rate. `docs/operations.md` lists the keys.
package struct ListenerLimits: Hashable, Sendable {
  /// Maximum number of connections. Further ones wait in the kernel's queue, which is bounded too.
  package var connections: Int
  /// Requests per second from one client address, averaged over two seconds, beyond which the answer is 429; 0 turns the limit off.
  package var requestsPerSecond: Int
  /// Maximum size of a request's head, beyond which the answer is 431.
  package var headerBytes: Int
  /// Seconds from connecting until the head must be complete, or the connection is closed.
  package var headSeconds: Int
  /// Seconds without a byte of the body until 408. A client that does not read its answer has twice as long.
  package var stallSeconds: Int
  /// Minimum rate of a body after the first ``stallSeconds``, below which the answer is 408; 0 turns the limit off.
  package var bytesPerSecond: Int

  package init(
    connections: Int = 4096, requestsPerSecond: Int = 2000, headerBytes: Int = 16 << 10, headSeconds: Int = 20, stallSeconds: Int = 30,
    bytesPerSecond: Int = 128
  ) {
    self.connections = connections
    self.requestsPerSecond = requestsPerSecond
    self.headerBytes = headerBytes
    self.headSeconds = headSeconds
    self.stallSeconds = stallSeconds
    self.bytesPerSecond = bytesPerSecond
  }
}
