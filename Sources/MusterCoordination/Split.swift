/// Splits a whole number in proportion to weights, by largest remainder (Hamilton's method); ties go to the earlier one.
func split(_ total: Int, over weights: [Int]) -> [Int] {
  let sum = weights.reduce(0, +)
  guard sum > 0, total > 0 else { return weights.map { _ in 0 } }
  let bounded = min(total, sum)
  var parts = weights.map { bounded * $0 / sum }
  let remainders = weights.indices.map { (-(bounded * weights[$0] % sum), $0) }.sorted { $0 < $1 }
  for (_, index) in remainders.prefix(bounded - parts.reduce(0, +)) { parts[index] += 1 }
  return parts
}
