/// Chooses the m updates that are closest to their neighbors, and averages them without weights.
///
/// The score of an update is s(i) = Σ ‖w_i − w_j‖² over its n − f − 2 nearest neighbors j. Krum takes the update with the lowest score
/// (Blanchard et al. 2017), Multi-Krum the m lowest, m ≤ n − f. At equal scores the first path wins. The updates' weights are ignored.
/// Needs n ≥ 2f + 3. Updates that are not chosen are refused, with their rank.
public struct Krum: Combiner, SelfVerifying {
  /// Number of updates that may be malicious.
  public let f: Int
  /// Number of updates to choose; `nil` for n − f.
  public let m: Int?
  /// The name of the rule in error messages.
  let name: String

  /// Krum, which chooses one update.
  public init(f: Int = 1) { (self.f, self.m, name) = (f, 1, "krum") }

  /// Multi-Krum, which chooses m updates.
  ///
  /// - Parameter m: number of updates to choose; `nil` for n − f.
  public init(f: Int, choosing m: Int?) { (self.f, self.m, name) = (f, m, "multiKrum") }

  public var readsAhead: Bool { true }

  public func problem(updates n: Int) -> String? {
    if let problem = Self.problem(f, of: name) { return problem }
    if let m, m < 1 { return "\(name) with m = \(m) chooses no update: m must be at least 1" }
    if n < 2 * f + 3 { return "\(name) with f = \(f) needs at least \(2 * f + 3) updates (n ≥ 2f + 3), not \(n)" }
    if let m, m > n - f { return "\(name) cannot choose \(m) of \(n) updates with f = \(f): at most \(n - f) (m ≤ n − f)" }
    return nil
  }

  /// Task files have their own bounds; a package that calls the rule has none.
  static func problem(_ f: Int, of name: String) -> String? {
    (0...1_000_000).contains(f) ? nil : "\(name) with f = \(f): f must be between 0 and 1000000"
  }

  public func prepare(_ cohort: inout Cohort) throws(AggregationError) -> any SliceCombiner {
    let choice = try cohort.choose(for: self) { choose(among: $0) }
    let n = cohort.updates.count
    for (rank, path) in choice.order.enumerated().dropFirst(m ?? n - f).map({ ($0, cohort.updates[$1].path) }) {
      cohort.refuse(path, "not chosen by \(name): its score \(choice.scores[rank]) has rank \(rank + 1) of \(n)")
    }
    return try Mean(.uniform).prepare(&cohort)
  }

  private func choose(among distances: Distances) -> Choice {
    let n = distances.count
    let neighbourhood = Neighbourhood(distances)
    let scores = (0..<n).map { neighbourhood.score($0, nearest: n - f - 2) }
    let order = (0..<n).sorted { (scores[$0], $0) < (scores[$1], $1) }
    let chosen = m ?? n - f
    var choice = Choice(order: order, scores: order.map { scores[$0] })
    if chosen < n { choice.compare(choice.scores[chosen - 1], choice.scores[chosen]) }
    return choice
  }
}

/// Chooses θ = n − 2f updates by repeated Krum, then averages for each element the θ − 2f values nearest to the chosen updates' median.
///
/// By El Mhamdi et al. 2018. Needs n ≥ 4f + 3. Each Krum step looks only at the updates that are still left. At equal scores the first path
/// wins; of two values equally near to the median, the lower. The updates' weights are ignored. Updates that are not chosen are refused.
public struct Bulyan: Combiner, SelfVerifying {
  /// Number of updates that may be malicious.
  public let f: Int

  /// Bulyan against f malicious updates.
  public init(f: Int = 1) { self.f = f }

  public var readsAhead: Bool { true }

  public func problem(updates n: Int) -> String? {
    if let problem = Krum.problem(f, of: "bulyan") { return problem }
    guard n < 4 * f + 3 else { return nil }
    return "bulyan with f = \(f) needs at least \(4 * f + 3) updates (n ≥ 4f + 3), not \(n)"
  }

  public func prepare(_ cohort: inout Cohort) throws(AggregationError) -> any SliceCombiner {
    let choice = try cohort.choose(for: self) { choose(among: $0) }
    let n = cohort.updates.count
    let theta = n - 2 * f
    for path in choice.order.dropFirst(theta).map({ cohort.updates[$0].path }) {
      cohort.refuse(path, "not chosen by bulyan: it ranks among the last \(2 * f) of \(n)")
    }
    return SortedColumns(.middleMean(keeping: theta - 2 * f), updates: theta)
  }

  private func choose(among distances: Distances) -> Choice {
    let n = distances.count
    var neighbourhood = Neighbourhood(distances)
    var left = Array(0..<n)
    var choice = Choice(order: [], scores: [])
    for _ in 0..<n - 2 * f {
      var best: (place: Int, score: Double)?
      var second = Double.infinity
      for (place, index) in left.enumerated() {
        let score = neighbourhood.score(index, nearest: left.count - f - 2)
        if let known = best, score >= known.score {
          second = min(second, score)
        } else {
          second = best?.score ?? second
          best = (place, score)
        }
      }
      guard let best else { break }
      // With no neighbors left to compare, the first path is taken, and precision does not matter.
      if left.count - f - 2 > 0 { choice.compare(best.score, second) }
      choice.scores.append(best.score)
      choice.order.append(left.remove(at: best.place))
      neighbourhood.remove(choice.order[choice.order.count - 1])
    }
    choice.order += left
    return choice
  }
}

/// The ranking of the updates, and whether it is clear.
private struct Choice {
  /// Indices of the updates, the chosen ones first.
  var order: [Int]
  /// The scores in that order. Bulyan has none for updates that it did not choose.
  var scores: [Double]
  /// Whether two scores are so close that distances summed in `Float` could have decided wrongly.
  var isClose = false

  mutating func compare(_ taken: Double, _ left: Double) {
    // The bound covers 16 `Float` additions in a row and the rounding of the differences, for both scores.
    if left - taken <= 2.5e-6 * left { isClose = true }
  }
}

/// For each update, the other updates sorted by distance, nearest first.
private struct Neighbourhood {
  private let distances: Distances
  private let sorted: [[Int]]
  private var isLeft: [Bool]

  init(_ distances: Distances) {
    self.distances = distances
    let n = distances.count
    sorted = (0..<n).map { i in
      (0..<n).filter { $0 != i }.sorted { (distances[i, $0], $0) < (distances[i, $1], $1) }
    }
    isLeft = [Bool](repeating: true, count: n)
  }

  mutating func remove(_ index: Int) { isLeft[index] = false }

  /// The sum of the squared distances to the `count` nearest updates that are left, added from the nearest on.
  func score(_ index: Int, nearest count: Int) -> Double {
    var (sum, needed) = (0.0, count)
    for other in sorted[index] where isLeft[other] {
      if needed <= 0 { break }
      sum += distances[index, other]
      needed -= 1
    }
    return sum
  }
}

extension Cohort {
  /// Chooses by distances summed in `Float`, and repeats with exact sums if the result is too close to call.
  fileprivate mutating func choose(
    for combiner: some Combiner, _ choose: (Distances) -> Choice
  ) throws(AggregationError) -> Choice {
    let distances = distances()
    try require(combiner)
    let choice = choose(distances)
    guard choice.isClose else { return choice }
    return choose(self.distances(exactly: true))
  }

  /// Checks again whether enough updates are left, because some may have been refused since.
  func require(_ combiner: some Combiner) throws(AggregationError) {
    guard !updates.isEmpty else { throw .nothingAccepted(refused) }
    if let problem = combiner.problem(updates: updates.count) { throw .tooFewUpdates(problem, refused) }
  }
}
