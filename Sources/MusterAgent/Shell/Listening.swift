import MusterSchema

/// Checks that a device hears two messages soon after each connection: the retained state of its region, and its own birth. Brokers deny
/// access silently: without either message the connection stays up, but nothing ever happens.
struct Listening {
  /// Both messages arrive within a round trip. If one is missing after this time, a warning is logged.
  static let patience = Duration.seconds(8)

  let until: ContinuousClock.Instant
  private(set) var hasOwn = false
  private(set) var hasRegion = false

  init(from now: ContinuousClock.Instant) { until = now + Self.patience }

  mutating func hear(own: Bool) {
    if own { hasOwn = true } else { hasRegion = true }
  }

  /// The missing messages, as sentences for the log.
  func complaints(id: NodeID, region: NodeID, user: String?) -> [String] {
    let who = user.map { "the user \($0)" } ?? "a client without a user name"
    var complaints: [String] = []
    if !hasRegion {
      complaints.append(
        "no message arrives from the region \"\(region)\"; check that `region` is its id, that muster-region runs at this broker, and that the "
          + "broker's ACL lets \(who) read \(Topic.coordinatorState(region))")
    }
    if !hasOwn {
      complaints.append(
        "the broker does not deliver this device's own state to it; check that its ACL lets \(who) write and read "
          + "\(Topic.nodeState(coordinator: region, node: id)) (with broker/acl, the user name must be the device's id)")
    }
    return complaints
  }
}
