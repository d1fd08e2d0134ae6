import MusterSchema

/// How long a piece of a server's long work is tried: for ever while its trouble is one that passes, a few times while it is not known, and once
/// when the same again would fail the same way.
package struct WorkPatience: Sendable {
  package enum Trouble: Sendable { case passing, unclear, lasting }

  private var tries = 0
  private static let unclearTries = 3
  private static let longest = 30

  package init() {}

  /// - Returns: how long to wait before the work is tried again; nil: give it up.
  package mutating func pause(after trouble: Trouble) -> Duration? {
    tries += 1
    switch trouble {
    case .lasting: return nil
    case .unclear where tries > Self.unclearTries: return nil
    case .passing, .unclear: return .seconds(min(Self.longest, 1 << min(tries, 5)))
    }
  }

  /// What an error says of itself; nil when it says nothing.
  package static func isPassing(_ error: any Error) -> Bool { (error as? any PassingTrouble)?.isPassing ?? false }
}
