package import MusterParticipation

/// A piece of a server's long work, with how often it was tried. It says when it is tried again, and when its result is handed over again.
package struct LongWork<Order> {
  package let order: Order
  private var attempts = 0
  /// Of these, attempts that failed for an unclear reason.
  private var unclear = 0
  private let faults: PlantedFaults

  private static var mostUnclear: Int { 3 }
  /// Seconds.
  private static var longestPause: Double { 30 }
  private static var pauseBetweenReports: Double { 1 }

  package init(_ order: Order, faults: PlantedFaults = []) {
    self.order = order
    self.faults = faults
  }

  /// An attempt failed: for ever again while the trouble is one that passes, some times while it is not known.
  ///
  /// - Returns: seconds until the next attempt; nil: give up.
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

  /// The result was handed to the machine. A result is not lost to a full disk: it is handed over until it is durable.
  ///
  /// - Returns: seconds until it is handed over again; nil: it is done.
  package func pause(afterReport isDurable: Bool) -> Double? {
    isDurable || faults.contains(.reportsWorkOnce) ? nil : Self.pauseBetweenReports
  }
}

extension LongWork: Sendable where Order: Sendable {}

/// What an attempt at long work failed for.
package enum Trouble: Sendable {
  /// It may pass, as a full disk does.
  case passing
  case unclear
  /// The same again would fail the same way.
  case lasting
}
