/// Upper bounds on the connections of one listener, and how slow a client may be. A request beyond a bound is answered with a status that
/// says so, and logged once in a while.
///
/// `docs/operations.md` lists the keys.
package struct ListenerLimits: Hashable, Sendable {
  /// Connections at a time. Further ones wait in the kernel's queue, which is bounded too.
  package var connections: Int
  /// Requests of one client address, over a burst of two seconds, before 429; 0 turns the limit off.
  package var requestsPerSecond: Int
  /// Bytes of a request's head, before 431.
  package var headerBytes: Int
  /// Seconds from connecting to a complete head, before the connection is closed.
  package var headSeconds: Int
  /// Seconds without a byte of a body, before 408. A client that does not read its answer has twice as long.
  package var stallSeconds: Int
  /// The least rate of a body after the first ``stallSeconds``, before 408; 0 turns the limit off.
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
