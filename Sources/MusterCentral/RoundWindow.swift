import MusterSchema

/// Which of a task's ended rounds are asked for.
enum RoundWindow: Hashable {
  case all
  case last(Int)

  /// The most rounds that may be asked for with `last:`.
  static let most = 1000

  /// - Parameter query: the parameter `rounds`; nil: it is absent, and all are asked for.
  init(query: Substring?) throws(Problem) {
    guard let query else {
      self = .all
      return
    }
    guard query.hasPrefix("last:"), let count = Int(query.dropFirst(5)), (0...Self.most).contains(count) else {
      let given = String(query.prefix(60)).withoutControlCharacters
      throw Problem(.badRequest, "rounds=\(given): expected last: and a number from 0 to \(Self.most), such as rounds=last:50")
    }
    self = .last(count)
  }

  func rounds(of records: [RoundRecord]) -> ArraySlice<RoundRecord> {
    switch self {
    case .all: records[...]
    case .last(let count): records.suffix(count)
    }
  }
}
