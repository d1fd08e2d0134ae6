/// How often a message may arrive. Muster relies on nothing above QoS 1.
package enum MQTTQuality: Int32, Hashable, Sendable {
  case atMostOnce = 0
  case atLeastOnce = 1
}

/// A message of a topic, on its way out or in; also a Will.
package struct MQTTMessage: Hashable, Sendable {
  package var topic: String
  package var payload: [UInt8]
  package var quality: MQTTQuality
  /// Out: the broker keeps it as the topic's state. In: it was kept by the broker and is not news
  /// (MQTT 3.1.1 clears the flag on a retained message that is passed on live).
  package var retained: Bool

  package init(topic: String, payload: [UInt8], quality: MQTTQuality = .atLeastOnce, retained: Bool = false) {
    self.topic = topic
    self.payload = payload
    self.quality = quality
    self.retained = retained
  }

  /// What the message counts against the limit of an outbox or inbox: its bytes and what the bookkeeping costs.
  var cost: Int { topic.utf8.count + payload.count + 96 }
}

/// A topic filter and the highest quality at which its messages are wanted.
package struct MQTTSubscription: Hashable, Sendable {
  package var filter: String
  package var quality: MQTTQuality

  package init(_ filter: String, quality: MQTTQuality = .atLeastOnce) {
    self.filter = filter
    self.quality = quality
  }
}

/// What a connection reports, in order.
package enum MQTTEvent: Hashable, Sendable {
  /// Connected and subscribed: retained messages follow, and what is published now is sent now. `connection` is the number that the
  /// Will of this connection was asked for with.
  case connected(connection: Int)
  /// The connection was lost, or an attempt to make one failed. A next attempt follows by itself.
  case disconnected(MQTTError)
  case message(MQTTMessage)
}

/// Where a connection stands right now.
package enum MQTTState: Hashable, Sendable {
  case connecting(connection: Int)
  case connected(connection: Int)
  case waiting(until: ContinuousClock.Instant, reason: MQTTError)
  case closed
}

/// What became of a message that was handed to `publish`.
package enum MQTTPublishOutcome: Hashable, Sendable {
  /// In the outbox: sent when there is a connection.
  case accepted
  /// In the outbox, in place of an older state of the same topic that had not been sent.
  case superseded
  case refused(Refusal)

  package enum Refusal: Hashable, Sendable {
    /// The outbox is full. Whatever is owed is to be repeated on the next `connected`.
    case full
    /// Wildcards, a NUL, nothing at all or more than 65,535 bytes.
    case topic
    /// More than `MQTTConfiguration.maximumPayload` bytes: a broker that bounds its packets would cut the connection again and again.
    case payload
    /// The connection that the message was meant for is gone.
    case connection
    case closed
  }
}

/// Counters of one client since its start.
package struct MQTTStatistics: Hashable, Sendable {
  package var connections = 0
  package var accepted = 0
  package var acknowledged = 0
  package var received = 0
  /// Unsent states that a newer state of their topic replaced.
  package var outboxSuperseded = 0
  /// Messages that the full outbox refused or pushed out, or whose connection went away.
  package var outboxDropped = 0
  /// Unread messages that a newer one of their topic replaced because the reader was too slow.
  package var inboxSuperseded = 0
  /// Arrived messages above `MQTTConfiguration.maximumPayload`.
  package var inboxOversized = 0
  /// Bytes waiting or unacknowledged.
  package var outboxBytes = 0

  package init() {}
}
