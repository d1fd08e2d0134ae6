import MusterGround

extension Problem: PassingTrouble {
  /// Whether the server may accept the same request later: it is busy, down or full.
  package var isPassing: Bool { [408, 429, 502, 503, 504, 507].contains(status) }
}
