import Synchronization

/// How much memory small bodies may take while they come in. Beyond it they go to a file at once, as large ones do.
final class BodyMemory: Sendable {
  private static let most = 32 << 20
  private let taken = Mutex(0)

  /// - Returns: false when there is not that much left.
  func take(_ bytes: Int) -> Bool {
    taken.withLock { taken in
      guard bytes <= Self.most - taken else { return false }
      taken += bytes
      return true
    }
  }

  func giveBack(_ bytes: Int) { taken.withLock { $0 -= bytes } }
}
