/// Identifies one piece of a node's work in a task. Work with a greater key supersedes it.
package struct RoundKey: Codable, Hashable, Comparable, Sendable, CustomStringConvertible {
  package var round: Int
  package var phase: Phase
  package var attempt: Int

  package init(round: Int, phase: Phase, attempt: Int) {
    self.round = round
    self.phase = phase
    self.attempt = attempt
  }

  package static func < (left: Self, right: Self) -> Bool {
    (left.round, left.phase == .train ? 0 : 1, left.attempt) < (right.round, right.phase == .train ? 0 : 1, right.attempt)
  }

  package var description: String { "round \(round), \(phase.rawValue), attempt \(attempt)" }
}
