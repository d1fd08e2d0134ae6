/// Checks a condition repeatedly until it holds.
///
/// - Returns: whether it held in time.
package func eventually(
  within timeout: Duration = .seconds(10), every interval: Duration = .milliseconds(5),
  isolation: isolated (any Actor)? = #isolation, _ condition: () async throws -> Bool
) async throws -> Bool {
  let deadline = ContinuousClock.now + timeout
  while true {
    if try await condition() { return true }
    if ContinuousClock.now >= deadline { return false }
    try await Task.sleep(for: interval)
  }
}
