/// Which sites reach each other, how long a message takes, and what goes wrong on the way.
struct NetworkConditions {
  /// Probabilities of trouble for each message or exchange; all zero by default.
  struct Weather {
    /// A message between broker and subscriber is lost, and no side notices.
    var silentLoss = 0.0
    /// A message breaks the connection that carries it.
    var breaking = 0.0
    var duplicate = 0.0
    var reorder = 0.0
    /// For HTTP: the request never arrives, or breaks off in the middle.
    var lostRequest = 0.0
    /// For HTTP: the server has handled the request, but the client never receives the answer.
    var lostAnswer = 0.0
    /// Milliseconds of one hop.
    var lag: ClosedRange<Int64> = 2...6
    /// A hop takes as long as ``hiccupLag``.
    var hiccup = 0.0
    var hiccupLag: ClosedRange<Int64> = 100...3000
  }

  var weather = Weather()
  private let sites: Int
  private var blocks: [Int]
  /// Additional milliseconds of each hop from or to a site.
  var distance: [Int64]

  init(sites: Int) {
    self.sites = sites
    blocks = Array(repeating: 0, count: sites * sites)
    distance = Array(repeating: 0, count: sites)
  }

  func isBlocked(_ one: Int, _ other: Int) -> Bool { blocks[one * sites + other] > 0 }

  /// Calls are nested: a path that was blocked twice has to be opened twice.
  mutating func block(_ one: Int, _ other: Int, _ change: Int) {
    blocks[one * sites + other] = max(0, blocks[one * sites + other] + change)
    blocks[other * sites + one] = max(0, blocks[other * sites + one] + change)
  }

  mutating func openAll() { blocks = Array(repeating: 0, count: sites * sites) }

  func lag(_ one: Int, _ other: Int, _ random: inout Generator) -> Int64 {
    let base = random.within(weather.hiccup > 0 && random.chance(weather.hiccup) ? weather.hiccupLag : weather.lag)
    return base + distance[one] + distance[other]
  }
}
