import Hummingbird
import MusterSchema
import Synchronization

/// A token bucket for each client address. The table is bounded: who was quiet the longest is forgotten.
final class RequestRate: Sendable {
  private struct Bucket {
    var tokens: Double
    var at: ContinuousClock.Instant
  }

  private let rate: Double
  private let buckets = Mutex<[String: Bucket]>([:])
  private static let capacity = 4096

  init(perSecond: Int) { rate = Double(perSecond) }

  /// - Returns: seconds to wait; nil: go on.
  func refusal(_ address: String, now: ContinuousClock.Instant = .now) -> Double? {
    guard rate > 0 else { return nil }
    let burst = max(1, rate * 2)
    return buckets.withLock { buckets in
      if buckets[address] == nil, buckets.count >= Self.capacity { Self.forget(&buckets) }
      var bucket = buckets[address] ?? Bucket(tokens: burst, at: now)
      bucket.tokens = min(burst, bucket.tokens + (now - bucket.at) / .seconds(1) * rate)
      bucket.at = now
      defer { buckets[address] = bucket }
      guard bucket.tokens >= 1 else { return max(1, (1 - bucket.tokens) / rate) }
      bucket.tokens -= 1
      return nil
    }
  }

  /// A quarter at once: not a look at all of them for each new one.
  private static func forget(_ buckets: inout [String: Bucket]) {
    let oldest = buckets.sorted { ($0.value.at, $0.key) < ($1.value.at, $1.key) }.prefix(capacity / 4)
    for (address, _) in oldest { buckets[address] = nil }
  }
}

/// Refuses clients that ask too often, except about the server's health.
struct RateMiddleware: RouterMiddleware {
  let rate: RequestRate

  func handle(_ request: Request, context: RouteContext, next: (Request, RouteContext) async throws -> Response) async throws -> Response {
    if request.uri.path != "/healthz", let wait = rate.refusal(context.client) {
      throw ProblemWithRetry(
        problem: Problem(.tooManyRequests, "this address asks more often than this server allows"),
        retryAfter: wait)
    }
    return try await next(request, context)
  }
}
