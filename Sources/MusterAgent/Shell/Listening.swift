import MusterSchema

/// What a device must hear soon after each connection: the state that its region keeps on its topic, and what it just said of itself. Brokers
/// deny in silence: without either, the connection stands and nothing ever happens.
struct Listening {
  /// Both come within a round trip; ten seconds later somebody should be told.
  static let patience = Duration.seconds(8)

  let until: ContinuousClock.Instant
  private(set) var hasOwn = false
  private(set) var hasRegion = false

  init(from now: ContinuousClock.Instant) { until = now + Self.patience }

  mutating func hear(own: Bool) {
    if own { hasOwn = true } else { hasRegion = true }
  }

  /// What is missing, in sentences for the log.
  func complaints(id: NodeID, region: NodeID, user: String?) -> [String] {
    let who = user.map { "the user \($0)" } ?? "a client without a user name"
    var complaints: [String] = []
    if !hasRegion {
      complaints.append(
        "nothing is heard of the region \"\(region)\": check that `region` is its id, that muster-region runs at this broker, and that the "
          + "broker's ACL lets \(who) read \(Topic.coordinatorState(region))")
    }
    if !hasOwn {
      complaints.append(
        "the broker does not pass on what this device says of itself: check that its ACL lets \(who) write and read "
          + "\(Topic.nodeState(coordinator: region, node: id)) (with broker/acl a user's name is the device's id)")
    }
    return complaints
  }
}
