package import MusterParticipation

/// A piece of a server's long work, with its number of attempts. It decides when the work is retried, and when its result is handed over
/// again.
package struct LongWork<Item> {
  package let item: Item
  private var attempts = 0
  /// Attempts among these that failed for an unclear reason.
  private var unclear = 0
  private let faults: PlantedFaults

  private static var mostUnclear: Int { 3 }
  /// In seconds, like the pause below.
  private static var longestPause: Double { 30 }
  private static var pauseBetweenReports: Double { 1 }

  package init(_ item: Item, faults: PlantedFaults = []) {
    self.item = item
    self.faults = faults
  }

  /// An attempt failed. It is retried without limit if the trouble may pass, and three times if the reason is unclear.
  ///
  /// - Returns: seconds until the next attempt; `nil` to give up.
  package mutating func pause(after trouble: Trouble) -> Double? {
    attempts += 1
    if trouble == .unclear { unclear += 1 }
    switch trouble {
    case .lasting: return nil
    case .unclear where unclear > Self.mostUnclear: return nil
    case .passing where faults.contains(.fullDiskEndsWork): return nil
    case .passing, .unclear: return min(Self.longestPause, Double(1 << min(attempts, 5)))
    }
  }

  /// The result was handed to the machine. A full disk does not lose a result: it is handed over again until it is durable.
  ///
  /// - Returns: seconds until it is handed over again; `nil` if it is durable.
  package func pause(afterReport isDurable: Bool) -> Double? {
    isDurable || faults.contains(.reportsWorkOnce) ? nil : Self.pauseBetweenReports
  }
}

extension LongWork: Sendable where Item: Sendable {}

/// Why an attempt at long work failed.
package enum Trouble: Sendable {
  /// The trouble may pass, like a full disk.
  case passing
  case unclear
  /// Another attempt would fail in the same way.
  case lasting
}
