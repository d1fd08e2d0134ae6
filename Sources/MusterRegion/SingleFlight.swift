import MusterSchema

/// Lets the first of several callers with the same key do the work, and gives the others its result.
actor SingleFlight<Key: Hashable & Sendable> {
  private var waiting: [Key: [CheckedContinuation<Result<String, Problem>, Never>]] = [:]

  func run(_ key: Key, _ work: @Sendable () async throws(Problem) -> String) async throws(Problem) -> String {
    if waiting[key] != nil {
      return try await withCheckedContinuation { waiting[key]?.append($0) }.get()
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
