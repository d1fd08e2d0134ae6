/// A fixed list of comparisons that sorts any `count` values: Batcher's merge exchange (Knuth, The Art of Computer Programming,
/// section 5.2.2, algorithm M).
enum SortingNetwork {
  /// The pairs of places to compare, in order.
  ///
  /// - Parameters:
  ///   - count: number of values.
  ///   - places: the places whose sorted values are needed; comparisons that do not affect them are left out.
  /// - Returns: the pairs, flattened; the lower value of each goes to its first place.
  static func pairs(count: Int, needed places: Range<Int>) -> [UInt32] {
    guard count > 1 else { return [] }
    var pairs: [(Int, Int)] = []
    var top = 1
    while top * 2 < count { top *= 2 }
    var p = top
    while p > 0 {
      var (q, r, d) = (top, 0, p)
      while true {
        for i in 0..<count - d where i & p == r { pairs.append((i, i + d)) }
        if q == p { break }
        (d, q, r) = (q - p, q / 2, p)
      }
      p /= 2
    }
    var matters = (0..<count).map(places.contains)
    var kept: [UInt32] = []
    for (low, high) in pairs.reversed() where matters[low] || matters[high] {
      (matters[low], matters[high]) = (true, true)
      kept += [UInt32(high), UInt32(low)]
    }
    return kept.reversed()
  }
}
