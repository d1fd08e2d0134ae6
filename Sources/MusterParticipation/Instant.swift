/// A machine's own time: milliseconds since its state was created.
///
/// It resumes from the last commit, so it never goes backwards, and the time during which the process was down does not count toward any
/// deadline. It is unrelated to wall-clock time.
package struct Instant: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
  package var milliseconds: Int64

  package init(milliseconds: Int64) { self.milliseconds = milliseconds }
  package static let zero = Instant(milliseconds: 0)

  /// This instant plus `seconds`, which are clamped to ±1e10 so that no input can overflow.
  package func advanced(bySeconds seconds: Double) -> Instant {
    guard !seconds.isNaN else { return self }
    return Instant(milliseconds: milliseconds + Int64((min(max(seconds, -1e10), 1e10) * 1000).rounded()))
  }

  /// Seconds from the other instant to this one.
  package func seconds(since other: Instant) -> Double { Double(milliseconds - other.milliseconds) / 1000 }

  package static func < (left: Instant, right: Instant) -> Bool { left.milliseconds < right.milliseconds }
  package var description: String { "\(milliseconds) ms" }

  package init(from decoder: any Decoder) throws { milliseconds = try decoder.singleValueContainer().decode(Int64.self) }
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(milliseconds)
  }
}
