package import MusterSchema

/// An event of the fleet as a whole. The events come in this order.
package enum LoadEvent: Sendable {
  /// Every device is connected, subscribed and has published its birth.
  case connected
  /// The first device was invited to this phase of this round.
  case began(round: Int, Phase)
  /// The task has ended, as the first device learned from its descriptor.
  case ended(RoundState.Step, reason: String)
  case failed(LoadError)
}

/// The progress of the fleet, for display.
package struct LoadProgress: Hashable, Sendable {
  package var connected = 0
  /// Devices that have received the task's descriptor.
  package var described = 0
  package var round = 0
  /// Devices that were invited to the current round.
  package var invited = 0
  package var delivered = 0
}
