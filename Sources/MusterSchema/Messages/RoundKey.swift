/// What names one piece of a node's work: a later one of the same task supersedes it.
public struct RoundKey: Codable, Hashable, Comparable, Sendable, CustomStringConvertible {
  public var round: Int
  public var phase: Phase
  public var attempt: Int

  public init(round: Int, phase: Phase, attempt: Int) {
    self.round = round
    self.phase = phase
    self.attempt = attempt
  }

  public static func < (left: Self, right: Self) -> Bool {
    (left.round, left.phase == .train ? 0 : 1, left.attempt) < (right.round, right.phase == .train ? 0 : 1, right.attempt)
  }

  public var description: String { "round \(round), \(phase.rawValue), attempt \(attempt)" }
}
