/// The delivery guarantee of a message. Muster relies on nothing above QoS 1.
package enum MQTTQuality: Int32, Hashable, Sendable {
  case atMostOnce = 0
  case atLeastOnce = 1
}

/// A message on a topic, outgoing or incoming; also a Will.
package struct MQTTMessage: Hashable, Sendable {
  package var topic: String
  package var payload: [UInt8]
  package var quality: MQTTQuality
  /// For an outgoing message: whether the broker keeps it as the topic's state. For an incoming one: whether it is a kept state and not
  /// news, as MQTT 3.1.1 clears the flag on a retained message that is passed on live.
  package var retained: Bool

  package init(topic: String, payload: [UInt8], quality: MQTTQuality = .atLeastOnce, retained: Bool = false) {
    self.topic = topic
    self.payload = payload
    self.quality = quality
    self.retained = retained
  }

  /// The amount that the message counts against the limit of an outbox or inbox: its bytes and the cost of the bookkeeping.
  var cost: Int { topic.utf8.count + payload.count + 96 }
}

/// A topic filter and the highest quality of service at which its messages are requested.
package struct MQTTSubscription: Hashable, Sendable {
  package var filter: String
  package var quality: MQTTQuality

  package init(_ filter: String, quality: MQTTQuality = .atLeastOnce) {
    self.filter = filter
    self.quality = quality
  }
}

/// An event of a connection. Events are reported in order.
package enum MQTTEvent: Hashable, Sendable {
  /// The client is connected and subscribed. Retained messages follow, and published messages are sent at once. `connection` is the number
  /// with which the Will of this connection was requested.
  case connected(connection: Int)
  /// The connection was lost, or an attempt to connect failed. The next attempt follows by itself.
  case disconnected(MQTTError)
  case message(MQTTMessage)
}

/// The current stage of a connection.
package enum MQTTState: Hashable, Sendable {
  case connecting(connection: Int)
  case connected(connection: Int)
  case waiting(until: ContinuousClock.Instant, reason: MQTTError)
  case closed
}

/// The result of `publish`.
package enum MQTTPublishOutcome: Hashable, Sendable {
  /// The message is in the outbox and is sent when there is a connection.
  case accepted
  /// The message is in the outbox, and replaced an older, unsent state of the same topic.
  case superseded
  case refused(Refusal)

  package enum Refusal: Hashable, Sendable {
    /// The outbox is full. Messages that are still owed must be published again on the next `connected`.
    case full
    /// The topic has a wildcard or a NUL, is empty, or has more than 65,535 bytes.
    case topic
    /// The payload has more than `MQTTConfiguration.maximumPayload` bytes. A broker that limits packets would close every connection.
    case payload
    /// The connection for which the message was meant has ended.
    case connection
    case closed
  }
}

/// Counters of one client since it started.
package struct MQTTStatistics: Hashable, Sendable {
  package var connections = 0
  package var accepted = 0
  package var acknowledged = 0
  package var received = 0
  /// Unsent states that were replaced by a newer state of their topic.
  package var outboxSuperseded = 0
  /// Messages that the full outbox refused or removed, and messages whose connection ended.
  package var outboxDropped = 0
  /// Unread messages that were replaced by a newer one of their topic because the reader was too slow.
  package var inboxSuperseded = 0
  /// Received messages that were larger than `MQTTConfiguration.maximumPayload`.
  package var inboxOversized = 0
  /// Bytes of messages that wait to be sent or acknowledged.
  package var outboxBytes = 0

  package init() {}
}
