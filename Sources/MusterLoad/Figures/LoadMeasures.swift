package import MusterSchema

/// What the devices saw of a task.
package struct LoadMeasures: Sendable {
  /// When each device heard of the task first; nil: not yet.
  package internal(set) var described: [ContinuousClock.Instant?]
  /// By round, of training and of evaluation.
  package internal(set) var rounds: [Phase: [Int: RoundMeasure]] = [:]
  /// Connections that were lost after they had been made.
  package internal(set) var lostConnections = 0

  init(devices: Int) { described = Array(repeating: nil, count: devices) }

  /// Requests that failed, of all rounds.
  package var refusals: [Refusal: Int] {
    rounds.values.flatMap(\.values).reduce(into: [:]) { all, round in all.merge(round.refusals) { $0 + $1 } }
  }
}

/// What the devices saw of one phase of a round.
package struct RoundMeasure: Sendable {
  /// When the first device got its invitation.
  package let began: ContinuousClock.Instant
  /// When each device got its first invitation, by its number.
  package internal(set) var invited: [Int: ContinuousClock.Instant] = [:]
  /// All invitations that came.
  package internal(set) var invitations = 0
  /// Invitations with the same key as the device's one before.
  package internal(set) var repeated = 0
  /// Seconds from a device's first invitation to the answer 200 or 201.
  package internal(set) var delivered: [Double] = []
  /// When the last of these answers came.
  package internal(set) var lastDelivered: ContinuousClock.Instant?
  /// Requests of these devices that failed or were refused, those that were repeated with success included.
  package internal(set) var refusals: [Refusal: Int] = [:]

  init(began: ContinuousClock.Instant) { self.began = began }
}

/// How a request was refused, or failed.
package struct Refusal: Codable, Hashable, Comparable, Sendable {
  /// Of the answer; nil when there was none.
  package var status: Int?
  /// The answer's code, or what went wrong without one.
  package var code: String

  package static func < (left: Self, right: Self) -> Bool {
    (left.status ?? 0, left.code) < (right.status ?? 0, right.code)
  }
}
