/// The requested page of a list: the query parameters `limit` and `after`, which every list has. Lists start with the newest row.
///
/// Every answer except the last page of a list has `Link: <…>; rel="next"` (RFC 8288), the address of the next page.
package struct PageRequest: Hashable, Sendable {
  /// Upper bound on the rows of the page.
  package var limit: Int
  /// The cursor of the row after which the page begins; `nil` begins with the newest row.
  package var after: Int?

  /// Rows of a page when `limit` is not given.
  package static let usual = 100
  /// Largest `limit`.
  package static let most = 1000

  package init(limit: Int = PageRequest.usual, after: Int? = nil) {
    self.limit = min(max(limit, 1), Self.most)
    self.after = after
  }

  /// - Parameters:
  ///   - limit: from 1 to ``most``; `nil` means ``usual``.
  ///   - after: a cursor, at least 0.
  /// - Throws: 400.
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
        throw Problem(.badRequest, "after=\(after.prefix(60).shown): expected the number in the Link header of an earlier answer")
      }
      self.after = number
    }
  }
}

/// A page of a list.
package struct Page<Row: Sendable>: Sendable {
  package var rows: [Row]
  /// The cursor of the next page; `nil` on the last page.
  package var next: Int?

  package init(_ rows: [Row], next: Int? = nil) {
    self.rows = rows
    self.next = next
  }

  package func map<Other>(_ transform: (Row) throws -> Other) rethrows -> Page<Other> { Page<Other>(try rows.map(transform), next: next) }
}

extension Page: Equatable where Row: Equatable {}

/// Conditions on tasks; `nil` matches any.
package struct TaskFilter: Hashable, Sendable {
  /// Whether the task is still running.
  package var isOpen: Bool?
  /// How the task ended.
  package var step: RoundState.Step?
  /// A part of the name or id; upper and lower case are equal.
  package var name: String?

  package init(isOpen: Bool? = nil, step: RoundState.Step? = nil, name: String? = nil) {
    self.isOpen = isOpen
    self.step = step
    self.name = name
  }
}

/// Conditions on contributions, and on invitations that no contribution followed; `nil` matches any.
package struct ContributionFilter: Hashable, Sendable {
  package var task: TaskID?
  package var round: Int?
  package var phase: Phase?
  /// The node's complete path.
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

/// Conditions on events; `nil` matches any.
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
