package import Hummingbird
package import MusterSchema

/// The finished rounds that a request asks for with full records: the query parameter `rounds`.
package enum RoundWindow: Hashable, Sendable {
  /// The newest rounds with at most ``usualContributions`` in total, but at least one round.
  case recent
  case all
  case last(Int)

  /// Largest number in `last:N`.
  package static let most = PageRequest.most
  package static let usualContributions = 10_000
  /// Maximum number of contributions and missed invitations in one answer.
  package static let mostContributions = 250_000

  package init(_ request: Request) throws(Problem) { try self.init(query: request.uri.queryParameters["rounds"]) }

  /// - Parameter query: the parameter; `nil` if it is absent.
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

  /// The first round of the window; `nil` if the window is empty.
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
