import Glibc
import Hummingbird
import MusterSchema
import Synchronization

/// A token bucket for each client.
///
/// A client is an IPv4 address, or the network part of an IPv6 address (64 bits), because a client can choose the rest itself. The table is
/// bounded: the clients that were inactive the longest are removed.
final class RequestRate: Sendable {
  private struct Bucket {
    var tokens: Double
    var at: ContinuousClock.Instant
  }

  private let rate: Double
  private let buckets = Mutex<[String: Bucket]>([:])
  static let capacity = 4096
  /// Called when clients are removed because more clients are active than the table can hold.
  private let forgets: @Sendable () -> Void

  init(perSecond: Int, forgets: @escaping @Sendable () -> Void = {}) {
    rate = Double(perSecond)
    self.forgets = forgets
  }

  /// - Returns: seconds to wait; `nil` if the request is allowed.
  func refusal(_ address: String, now: ContinuousClock.Instant = .now) -> Double? {
    guard rate > 0 else { return nil }
    let burst = max(1, rate * 2)
    let client = Self.client(address)
    let (wait, isFull) = buckets.withLock { buckets -> (Double?, Bool) in
      let isFull = buckets[client] == nil && buckets.count >= Self.capacity
      if isFull { Self.forget(&buckets) }
      var bucket = buckets[client] ?? Bucket(tokens: burst, at: now)
      bucket.tokens = min(burst, bucket.tokens + (now - bucket.at) / .seconds(1) * rate)
      bucket.at = now
      defer { buckets[client] = bucket }
      guard bucket.tokens >= 1 else { return (max(1, (1 - bucket.tokens) / rate), isFull) }
      bucket.tokens -= 1
      return (nil, isFull)
    }
    if isFull { forgets() }
    return wait
  }

  /// Number of clients in the table.
  var count: Int { buckets.withLock(\.count) }

  private static func client(_ address: String) -> String {
    var bytes = in6_addr()
    guard address.contains(":"), inet_pton(AF_INET6, address.prefix { $0 != "%" }.description, &bytes) == 1 else { return address }
    return withUnsafeBytes(of: &bytes) { bytes in
      // An IPv4 address as a dual-stack socket reports it.
      if bytes.prefix(10).allSatisfy({ $0 == 0 }), bytes[10] == 0xff, bytes[11] == 0xff {
        return bytes[12...].map { "\($0)" }.joined(separator: ".")
      }
      return bytes.prefix(8).map { String($0, radix: 16) }.joined(separator: ":")
    }
  }

  /// Removes a quarter of the table at once, so that not every new client needs a scan of the table.
  private static func forget(_ buckets: inout [String: Bucket]) {
    let oldest = buckets.sorted { ($0.value.at, $0.key) < ($1.value.at, $1.key) }.prefix(capacity / 4)
    for (address, _) in oldest { buckets[address] = nil }
  }
}

/// Refuses clients that send too many requests, except to `/healthz`.
struct RateMiddleware: RouterMiddleware {
  let rate: RequestRate

  func handle(_ request: Request, context: RouteContext, next: (Request, RouteContext) async throws -> Response) async throws -> Response {
    if request.uri.path != "/healthz", let wait = rate.refusal(context.client) {
      throw ProblemWithRetry(
        problem: Problem(.tooManyRequests, "this address sends more requests than this server allows"),
        retryAfter: wait)
    }
    return try await next(request, context)
  }
}
