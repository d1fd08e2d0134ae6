import MusterGround

extension Problem: PassingTrouble {
  /// The other side is busy, down or full.
  package var isPassing: Bool { [408, 429, 502, 503, 504, 507].contains(status) }
}
