/// Bytes of a task that crossed a coordinator's data listener: contributions that came, models that went.
package struct Traffic: Codable, Hashable, Sendable {
  package var received: Int
  package var sent: Int

  package init(received: Int = 0, sent: Int = 0) {
    self.received = received
    self.sent = sent
  }
}

/// `GET /v1/tasks/{task}/traffic`, one element for central and for each region that answers: what crossed the links below it.
package struct LinkTraffic: Codable, Hashable, Sendable {
  package var coordinator: NodeID
  package var traffic: Traffic

  package init(coordinator: NodeID, traffic: Traffic) {
    self.coordinator = coordinator
    self.traffic = traffic
  }
}
