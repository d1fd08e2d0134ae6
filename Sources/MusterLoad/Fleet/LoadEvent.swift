package import MusterSchema

/// What happens to the devices as a whole, in this order.
package enum LoadEvent: Sendable {
  /// Every device is connected, subscribed and has published its birth.
  case connected
  /// The first device was invited to this phase of this round.
  case began(round: Int, Phase)
  /// The task has ended: the first device heard so.
  case ended(RoundState.Step, reason: String)
  case failed(LoadError)
}

/// How far the devices are, for people who wait.
package struct LoadProgress: Hashable, Sendable {
  package var connected = 0
  /// Devices that know the task.
  package var described = 0
  package var round = 0
  /// In this round.
  package var invited = 0
  package var delivered = 0
}
