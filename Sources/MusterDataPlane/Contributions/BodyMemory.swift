import Synchronization

/// Limits the memory for small bodies while they arrive. Further small bodies are written to files, as large ones are.
final class BodyMemory: Sendable {
  private static let most = 32 << 20
  private let taken = Mutex(0)

  /// - Returns: false if too little is left.
  func take(_ bytes: Int) -> Bool {
    taken.withLock { taken in
      guard bytes <= Self.most - taken else { return false }
      taken += bytes
      return true
    }
  }

  func giveBack(_ bytes: Int) { taken.withLock { $0 -= bytes } }
}
