/// How long to wait between attempts: full jitter (each delay uniform between nothing and a ceiling that doubles), so that a fleet
/// that lost its broker does not come back in step. https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
///
/// Other than there, the ceiling is also never above the time that the trouble has lasted: after a restart of a few seconds the unlucky ones of
/// a fleet would else wait for half a minute. So nobody comes back later than after twice the outage (and a second), and they come spread over
/// as long a time as the broker was away.
package struct MQTTReconnectDelays: Hashable, Sendable {
  /// The ceiling of the first delay.
  package var minimum: Duration
  /// The ceiling of every later one.
  package var maximum: Duration
  /// Delays while the broker refuses the client for a reason that only an operator can mend.
  package var refused: ClosedRange<Duration>
  /// A connection that lived this long starts the next series from `minimum`.
  package var stable: Duration

  package init(
    minimum: Duration = .milliseconds(100), maximum: Duration, refused: ClosedRange<Duration> = .seconds(5) ... .seconds(60),
    stable: Duration = .seconds(5)
  ) {
    self.minimum = minimum
    self.maximum = maximum
    self.refused = refused
    self.stable = stable
  }

  /// Central and regions: few, and everybody waits for them.
  package static let coordinator = MQTTReconnectDelays(maximum: .seconds(2))
  /// Devices: many.
  package static let agent = MQTTReconnectDelays(maximum: .seconds(30))
}

/// Where one client stands in its series of attempts.
struct Backoff {
  let delays: MQTTReconnectDelays
  private(set) var failures = 0
  /// When the series began.
  private var began: ContinuousClock.Instant?

  /// Trouble counts as having lasted this long at least: a fleet shall not come back within a few milliseconds.
  static let leastOutage = Duration.seconds(1)

  init(_ delays: MQTTReconnectDelays) {
    self.delays = delays
  }

  /// The wait before the next attempt.
  ///
  /// - Parameters:
  ///   - error: how the last attempt or connection ended.
  ///   - lived: how long it had been connected.
  mutating func delay(
    after error: MQTTError, lived: Duration, at now: ContinuousClock.Instant, using generator: inout any RandomNumberGenerator & Sendable
  ) -> Duration {
    if lived >= delays.stable {
      failures = 0
      began = nil
    }
    let outage = now - (began ?? now)
    began = began ?? now
    let exponent = min(failures, 20)
    failures += 1
    if error.needsOperator {
      let ceiling = min(delays.refused.upperBound, delays.refused.lowerBound * (2 << exponent))
      return .random(in: delays.refused.lowerBound...max(delays.refused.lowerBound, ceiling), using: &generator)
    }
    let patience = max(outage, Self.leastOutage, delays.minimum)
    return .random(in: .zero...min(delays.maximum, delays.minimum * (1 << exponent), patience), using: &generator)
  }
}

extension Duration {
  /// Uniform in the range, from one draw.
  static func random(in range: ClosedRange<Duration>, using generator: inout any RandomNumberGenerator & Sendable) -> Duration {
    let width = range.upperBound - range.lowerBound
    // Not Double.random(in:using:): it draws until it likes the number, for ever if the generator of a test always gives the same.
    return range.lowerBound + width * (Double(generator.next() >> 11) * 0x1p-53)
  }

  /// Whole milliseconds, rounded up, for `poll`.
  var milliseconds: Int32 {
    let (seconds, attoseconds) = components
    let milliseconds = seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    return Int32(clamping: max(0, milliseconds))
  }
}
