package import MusterSchema

/// The devices' measurements of a task.
package struct LoadMeasures: Sendable {
  /// The time at which each device first received the task's descriptor; `nil` if it has not yet.
  package internal(set) var described: [ContinuousClock.Instant?]
  /// The measurements of each round, for training and for evaluation.
  package internal(set) var rounds: [Phase: [Int: RoundMeasure]] = [:]
  /// The number of connections that were made and then lost.
  package internal(set) var lostConnections = 0

  init(devices: Int) { described = Array(repeating: nil, count: devices) }

  /// Failed requests of all rounds.
  package var refusals: [RequestFailure: Int] {
    rounds.values.flatMap(\.values).reduce(into: [:]) { all, round in all.merge(round.refusals) { $0 + $1 } }
  }
}

/// The devices' measurements of one phase of a round.
package struct RoundMeasure: Sendable {
  /// The time at which the first device received its invitation.
  package let began: ContinuousClock.Instant
  /// The time at which each device received its first invitation, by the device's number.
  package internal(set) var invited: [Int: ContinuousClock.Instant] = [:]
  /// The number of all invitations received.
  package internal(set) var invitations = 0
  /// The number of invitations with the same key as the device's previous one.
  package internal(set) var repeated = 0
  /// Seconds from a device's first invitation to the answer 200 or 201, for each delivery.
  package internal(set) var delivered: [Double] = []
  /// The time of the last of these answers.
  package internal(set) var lastDelivered: ContinuousClock.Instant?
  /// Requests that failed or were refused, including those that were repeated with success.
  package internal(set) var refusals: [RequestFailure: Int] = [:]

  init(began: ContinuousClock.Instant) { self.began = began }
}

/// The way in which a request was refused or failed.
package struct RequestFailure: Codable, Hashable, Comparable, Sendable {
  /// The status of the answer; `nil` when there was no answer.
  package var status: Int?
  /// The code in the answer, or a description of the failure if there is no code.
  package var code: String

  package static func < (left: Self, right: Self) -> Bool {
    (left.status ?? 0, left.code) < (right.status ?? 0, right.code)
  }
}
