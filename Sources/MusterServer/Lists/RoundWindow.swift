package import Hummingbird
package import MusterSchema

/// Which of a task's ended rounds are asked for, with the names of their nodes: the query parameter `rounds`.
package enum RoundWindow: Hashable, Sendable {
  /// The newest that together have at most ``usualContributions``, and at least one.
  case recent
  case all
  case last(Int)

  /// The most rounds that may be asked for with `last:`.
  package static let most = PageRequest.most
  package static let usualContributions = 10_000
  /// The most contributions and missed invitations of one answer.
  package static let mostContributions = 250_000

  package init(_ request: Request) throws(Problem) { try self.init(query: request.uri.queryParameters["rounds"]) }

  /// - Parameter query: nil: it is absent.
  init(query: Substring?) throws(Problem) {
    switch query {
    case nil: self = .recent
    case "all": self = .all
    case let query?:
      guard query.hasPrefix("last:"), let count = Bounds(0...Self.most).read(query.dropFirst(5)) else {
        let given = String(query.prefix(60)).withoutControlCharacters
        throw Problem(
          .badRequest, "rounds=\(given): expected all, or last: and a number from 0 to \(Self.most), such as rounds=last:50")
      }
      self = .last(count)
    }
  }

  /// The first round of the window; nil: it is empty.
  package func first(newestFirst rounds: [RoundSummary]) -> Int? {
    switch self {
    case .all: return rounds.isEmpty ? nil : 0
    case .last(let count): return rounds.prefix(count).last?.round
    case .recent:
      var left = Self.usualContributions
      let fitting = rounds.prefix { round in
        left -= round.rows
        return left >= 0
      }
      return (fitting.last ?? rounds.first)?.round
    }
  }
}
