/// Bytes of a task on a coordinator's data listener: contributions received and models sent.
package struct Traffic: Codable, Hashable, Sendable {
  package var received: Int
  package var sent: Int

  package init(received: Int = 0, sent: Int = 0) {
    self.received = received
    self.sent = sent
  }
}

/// `GET /v1/tasks/{task}/traffic`, one element each for central and every region that answers: the traffic of the links below it.
package struct LinkTraffic: Codable, Hashable, Sendable {
  package var coordinator: NodeID
  package var traffic: Traffic

  package init(coordinator: NodeID, traffic: Traffic) {
    self.coordinator = coordinator
    self.traffic = traffic
  }
}
