/// Which part of a list is asked for: the query parameters `limit` and `after` of every list, the newest first.
///
/// An answer that is not the end of its list carries `Link: <…>; rel="next"` (RFC 8288), whose address asks for the next part.
package struct PageRequest: Hashable, Sendable {
  /// Upper bound on the rows of the page.
  package var limit: Int
  /// The cursor of the row after which the page begins; nil: at the newest row.
  package var after: Int?

  /// Rows without `limit`.
  package static let usual = 100
  /// The most rows of one page.
  package static let most = 1000

  package init(limit: Int = PageRequest.usual, after: Int? = nil) {
    self.limit = min(max(limit, 1), Self.most)
    self.after = after
  }

  /// - Parameters:
  ///   - limit: from 1 to ``most``; nil: ``usual``.
  ///   - after: from 0.
  package init(limit: Substring?, after: Substring?) throws(Problem) {
    self.init()
    if let limit {
      guard let number = Bounds(1...Self.most).read(limit) else {
        throw Problem(.badRequest, "limit=\(limit.prefix(60).shown): expected a number from 1 to \(Self.most)")
      }
      self.limit = number
    }
    if let after {
      guard let number = Bounds(0...Int.max).read(after) else {
        throw Problem(.badRequest, "after=\(after.prefix(60).shown): expected the number that an answer's Link header has there")
      }
      self.after = number
    }
  }
}

/// A part of a list.
package struct Page<Row: Sendable>: Sendable {
  package var rows: [Row]
  /// The cursor for the next part; nil: this is the end.
  package var next: Int?

  package init(_ rows: [Row], next: Int? = nil) {
    self.rows = rows
    self.next = next
  }

  package func map<Other>(_ transform: (Row) throws -> Other) rethrows -> Page<Other> { Page<Other>(try rows.map(transform), next: next) }
}

extension Page: Equatable where Row: Equatable {}

/// Which tasks are asked for; nil: any.
package struct TaskFilter: Hashable, Sendable {
  /// Whether they go on.
  package var isOpen: Bool?
  /// How they ended.
  package var step: RoundState.Step?
  /// A part of their name or id, whatever its case.
  package var name: String?

  package init(isOpen: Bool? = nil, step: RoundState.Step? = nil, name: String? = nil) {
    self.isOpen = isOpen
    self.step = step
    self.name = name
  }
}

/// Which contributions, and invitations that none followed, are asked for; nil: any.
package struct ContributionFilter: Hashable, Sendable {
  package var task: TaskID?
  package var round: Int?
  package var phase: Phase?
  /// The node's whole path.
  package var node: String?
  package var fate: Fate?

  package init(task: TaskID? = nil, round: Int? = nil, phase: Phase? = nil, node: String? = nil, fate: Fate? = nil) {
    self.task = task
    self.round = round
    self.phase = phase
    self.node = node
    self.fate = fate
  }
}

/// Which events are asked for; nil: any.
package struct EventFilter: Hashable, Sendable {
  package var task: TaskID?
  package var kind: TaskEvent.Kind?

  package init(task: TaskID? = nil, kind: TaskEvent.Kind? = nil) {
    self.task = task
    self.kind = kind
  }
}

extension Substring {
  fileprivate var shown: String { String(self).withoutControlCharacters }
}
