package import MusterMQTT
package import MusterSchema

/// A broker connection of a server, with the program's handlers.
package struct ServerLink: Sendable {
  package let link: BrokerLink
  /// Name of the connection in `/readyz`.
  package let name: String
  let connected: @Sendable () async -> Void
  let disconnected: @Sendable () async -> Void
  let receive: @Sendable (Topic, MQTTMessage) async -> Void

  /// - Parameters:
  ///   - connected: called on every connection, after the birth message.
  ///   - disconnected: called when the connection was lost or could not be made.
  ///   - receive: called with each message on the link's topics, except those on its own state topic.
  package init(
    _ link: BrokerLink, name: String, connected: @escaping @Sendable () async -> Void,
    disconnected: @escaping @Sendable () async -> Void = {}, receive: @escaping @Sendable (Topic, MQTTMessage) async -> Void
  ) {
    self.link = link
    self.name = name
    self.connected = connected
    self.disconnected = disconnected
    self.receive = receive
  }

  /// Keeps the connection until the task is cancelled.
  func run() async throws { try await link.run(connected: connected, disconnected: disconnected, receive: receive) }
}
