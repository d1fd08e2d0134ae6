package import MusterCoordination

/// How long a piece of a server's long work is tried, and how often its result is handed over.
package struct LongWork: Sendable {
  /// What an attempt failed for.
  package enum Trouble: Sendable {
    /// It may pass, as a full disk does.
    case passing
    case unclear
    /// The same again would fail the same way.
    case lasting
  }

  private var attempts = 0
  private let faults: PlantedFaults

  /// Attempts whose trouble is not known.
  private static let mostUnclear = 3
  /// Seconds.
  private static let longestPause = 30.0
  private static let pauseBetweenReports = 1.0

  package init(faults: PlantedFaults = []) { self.faults = faults }

  /// An attempt failed: for ever again while the trouble is one that passes, some times while it is not known.
  ///
  /// - Returns: seconds until the next attempt; nil: give up.
  package mutating func pause(after trouble: Trouble) -> Double? {
    attempts += 1
    switch trouble {
    case .lasting: return nil
    case .unclear where attempts > Self.mostUnclear: return nil
    case .passing where faults.contains(.fullDiskEndsWork): return nil
    case .passing, .unclear: return min(Self.longestPause, Double(1 << min(attempts, 5)))
    }
  }

  /// The result was handed to the machine. A result is not lost to a full disk: it is handed over until it is durable.
  ///
  /// - Returns: seconds until it is handed over again; nil: it is done.
  package func pause(afterReport isDurable: Bool) -> Double? {
    isDurable || faults.contains(.reportsWorkOnce) ? nil : Self.pauseBetweenReports
  }
}
