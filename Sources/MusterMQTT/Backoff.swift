/// The waiting times between attempts to connect. They use full jitter: each delay is uniform between zero and a ceiling that doubles, so
/// that a fleet that lost its broker does not reconnect all at once.
/// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
///
/// Unlike in that article, the ceiling is also never above the time that the trouble has lasted. Otherwise the unlucky clients of a fleet
/// would wait half a minute after a broker restart of a few seconds. A client therefore reconnects within twice the outage plus one second,
/// and the fleet's attempts are spread over a time as long as the outage.
package struct MQTTReconnectDelays: Hashable, Sendable {
  /// The ceiling of the first delay.
  package var minimum: Duration
  /// The largest ceiling of any delay.
  package var maximum: Duration
  /// The range of delays while the broker refuses the client for a reason that only an operator can fix.
  package var refused: ClosedRange<Duration>
  /// After a connection that lasted this long, the next series of attempts starts at `minimum` again.
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

  /// The delays of central and of regions. They are few, and the whole fleet waits for them.
  package static let coordinator = MQTTReconnectDelays(maximum: .seconds(2))
  /// The delays of devices, which are many.
  package static let agent = MQTTReconnectDelays(maximum: .seconds(30))
}

/// One client's position in its series of attempts.
struct Backoff {
  let delays: MQTTReconnectDelays
  private(set) var failures = 0
  /// The start of the series, when the trouble began.
  private var began: ContinuousClock.Instant?

  /// Trouble counts as having lasted at least this long, so that a fleet does not reconnect within a few milliseconds.
  static let leastOutage = Duration.seconds(1)

  init(_ delays: MQTTReconnectDelays) {
    self.delays = delays
  }

  /// Computes the wait before the next attempt.
  ///
  /// - Parameters:
  ///   - error: the end of the last attempt or connection.
  ///   - lived: how long that connection had lasted.
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
  /// A uniform value in the range, from a single draw of the generator.
  static func random(in range: ClosedRange<Duration>, using generator: inout any RandomNumberGenerator & Sendable) -> Duration {
    let width = range.upperBound - range.lowerBound
    // Double.random(in:using:) draws until it gets a suitable number, which is forever if a test's generator always gives the same one.
    return range.lowerBound + width * (Double(generator.next() >> 11) * 0x1p-53)
  }

  /// The duration in whole milliseconds, rounded up, for `poll`.
  var milliseconds: Int32 {
    let (seconds, attoseconds) = components
    let milliseconds = seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    return Int32(clamping: max(0, milliseconds))
  }
}
