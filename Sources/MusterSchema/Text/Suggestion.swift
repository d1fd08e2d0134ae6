/// "Did you mean …?" for a mistyped flag, key or command.
package enum Suggestion {
  /// The candidate with the fewest typing mistakes (optimal string alignment distance), if they are at most a third of the word's length.
  ///
  /// - Returns: `nil` if no candidate is close, or if the word is longer than any name of Muster.
  package static func closest(to word: String, among candidates: some Collection<String>) -> String? {
    let typed = Array(word.utf8.prefix(65))
    guard (1...64).contains(typed.count) else { return nil }
    let most = max(1, typed.count / 3)
    return candidates.map { (distance: distance(typed, Array($0.utf8.prefix(64))), name: $0) }
      .filter { $0.distance <= most }.min { ($0.distance, $0.name) < ($1.distance, $1.name) }?.name
  }

  /// ` Did you mean --region?`, or an empty string.
  package static func question(_ word: String, among candidates: some Collection<String>) -> String {
    closest(to: word, among: candidates).map { " Did you mean \($0)?" } ?? ""
  }

  /// Number of insertions, deletions, replacements and swaps of neighbors that turn one into the other.
  private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var (before, last) = ([Int](), Array(0...right.count))
    for (i, a) in left.enumerated() {
      var row = [i + 1]
      for (j, b) in right.enumerated() {
        var best = min(last[j + 1] + 1, row[j] + 1, last[j] + (a == b ? 0 : 1))
        if i > 0, j > 0, a == right[j - 1], left[i - 1] == b { best = min(best, before[j - 1] + 1) }
        row.append(best)
      }
      (before, last) = (last, row)
    }
    return last[right.count]
  }
}
