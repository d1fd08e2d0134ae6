/// Bytes of a task that crossed a coordinator's data listener: contributions that came, models that went.
public struct Traffic: Codable, Hashable, Sendable {
  public var received: Int
  public var sent: Int

  public init(received: Int = 0, sent: Int = 0) {
    self.received = received
    self.sent = sent
  }
}

/// `GET /v1/tasks/{task}/traffic`, one element for central and for each region that answers: what crossed the links below it.
public struct LinkTraffic: Codable, Hashable, Sendable {
  public var coordinator: NodeID
  public var traffic: Traffic

  public init(coordinator: NodeID, traffic: Traffic) {
    self.coordinator = coordinator
    self.traffic = traffic
  }
}
