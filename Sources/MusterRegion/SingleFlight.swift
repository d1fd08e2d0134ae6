import MusterSchema

/// Lets the first of several callers with the same key do the work, and gives the others its result.
///
/// Untrusted clients choose the keys, so at most ``capacity`` keys are worked on at once. Callers with further keys are told to come back.
actor SingleFlight<Key: Hashable & Sendable> {
  private static var capacity: Int { 64 }
  private var waiting: [Key: [CheckedContinuation<Result<String, Problem>, Never>]] = [:]

  func run(_ key: Key, _ work: @Sendable () async throws(Problem) -> String) async throws(Problem) -> String {
    if waiting[key] != nil {
      return try await withCheckedContinuation { waiting[key]?.append($0) }.get()
    }
    guard waiting.count < Self.capacity else {
      throw Problem(.unavailable, "the region already fetches \(waiting.count) models, the most at a time: try again")
    }
    waiting[key] = []
    let result: Result<String, Problem>
    do {
      result = .success(try await work())
    } catch {
      result = .failure(error)
    }
    for continuation in waiting.removeValue(forKey: key) ?? [] { continuation.resume(returning: result) }
    return try result.get()
  }
}
