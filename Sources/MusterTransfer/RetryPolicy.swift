import MusterSchema

/// The number of attempts and the pauses between them, for a request that fails for a passing reason.
package struct RetryPolicy: Hashable, Sendable {
  /// The number of attempts, including the first.
  package var attempts: Int
  /// The first pause is random between zero and this. The upper end doubles with each further pause.
  package var base: Duration
  /// The upper end never exceeds this.
  package var cap: Duration
  /// The longest `Retry-After` that is obeyed. If a server asks for more, the request is repeated after this time.
  package var patience: Duration

  package init(
    attempts: Int = 5, base: Duration = .milliseconds(250), cap: Duration = .seconds(20), patience: Duration = .seconds(60)
  ) {
    self.attempts = attempts
    self.base = base
    self.cap = cap
    self.patience = patience
  }

  /// The pause before another attempt; `nil` when the request must not be repeated.
  ///
  /// The pause is drawn with full jitter. If the server named a time, the pause is that time plus a random part of up to half as much.
  ///
  /// - Parameter attempt: the number of the attempt that failed, from 1.
  package func pause(
    after error: TransferError, attempt: Int, using generator: inout some RandomNumberGenerator
  ) -> Duration? {
    guard attempt < attempts, error.isTransient else { return nil }
    let most = min(cap, base * (1 << min(max(attempt - 1, 0), 20)))
    let jitter = most * Double.random(in: 0...1, using: &generator)
    guard case .problem(_, let seconds?) = error else { return jitter }
    // Many clients are told the same number, and must not all come back at the same moment.
    let asked = min(.seconds(Bounds.seconds.limited(seconds)), patience)
    return asked + max(asked * 0.5, min(most, .seconds(1))) * Double.random(in: 0...1, using: &generator)
  }
}

/// Repeats a request while its error is transient: the server is unreachable or silent, busy (429, with its `Retry-After`), unavailable
/// (503), full (507), or it answers 408, 502 or 504. Throws the last error.
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
