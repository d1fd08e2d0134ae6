import MusterSchema

/// How often and how patiently a request is repeated that failed for a passing reason.
package struct RetryPolicy: Hashable, Sendable {
  /// In all, the first one included.
  package var attempts: Int
  /// The first pause is drawn from zero to this, each further one from twice as much.
  package var base: Duration
  /// The longest pause that is drawn.
  package var cap: Duration
  /// The longest `Retry-After` that is obeyed: a server that asks for more gets the request after this time.
  package var patience: Duration

  package init(
    attempts: Int = 5, base: Duration = .milliseconds(250), cap: Duration = .seconds(20), patience: Duration = .seconds(60)
  ) {
    self.attempts = attempts
    self.base = base
    self.cap = cap
    self.patience = patience
  }

  /// The pause before another attempt; nil when there is none: full jitter, or what the server asked for and up to half as much more.
  ///
  /// - Parameter attempt: the one that failed, from 1.
  package func pause(
    after error: TransferError, attempt: Int, using generator: inout some RandomNumberGenerator
  ) -> Duration? {
    guard attempt < attempts, error.isTransient else { return nil }
    let most = min(cap, base * (1 << min(max(attempt - 1, 0), 20)))
    let jitter = most * Double.random(in: 0...1, using: &generator)
    guard case .problem(_, let seconds?) = error else { return jitter }
    // Many were told the same number, and shall not come back at the same moment.
    let asked = min(.seconds(Bounds.seconds.limited(seconds)), patience)
    return asked + max(asked * 0.5, min(most, .seconds(1))) * Double.random(in: 0...1, using: &generator)
  }
}

/// Repeats a request while it fails for a passing reason: the server is unreachable, busy (429, with its `Retry-After`), unavailable
/// (503) or full (507). The last error is thrown.
package func retrying<T: Sendable, C: Clock>(
  _ policy: RetryPolicy = RetryPolicy(), clock: C = ContinuousClock(),
  using generator: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
  _ request: @Sendable (_ attempt: Int) async throws(TransferError) -> T
) async throws(TransferError) -> T where C.Duration == Duration {
  var generator = generator
  var attempt = 1
  while true {
    do throws(TransferError) {
      return try await request(attempt)
    } catch {
      guard let pause = policy.pause(after: error, attempt: attempt, using: &generator) else { throw error }
      do {
        try await clock.sleep(for: pause)
      } catch {
        throw .cancelled
      }
      attempt += 1
    }
  }
}
