package import MusterMQTT
package import MusterSchema

/// Finds out on each connection of a coordinator whether its broker does what Muster relies on: a message of 4 KiB comes through, and a retained
/// one is handed out again. Brokers that do not say nothing: they acknowledge and drop.
///
/// A value: told what arrives, it says what to do. The messages go to a topic that nobody else uses, the status topic of the coordinator as a
/// node of its own, which the ACL of `broker/acl` lets a coordinator write and read: no device may have a coordinator's name.
package struct BrokerProbe: Hashable, Sendable {
  package enum Step: Hashable, Sendable {
    /// The message is on its way.
    case sent
    /// It came through; its retained copy was asked for.
    case asked
    case passed
  }

  package enum Action: Hashable, Sendable {
    /// Subscribe to the topic again: the retained copy comes.
    case ask
    /// All is well: clear the topic.
    case clear
  }

  package static let bytes = 4096
  /// Within this time everything has come on any broker that does it at all.
  package static let patience = Duration.seconds(10)

  package let topic: String
  package private(set) var step = Step.sent

  package init(coordinator: NodeID) {
    topic = "\(Topic.nodeStatus(coordinator: coordinator, node: coordinator, task: TaskID(unchecked: "broker-probe")))"
  }

  /// As long as a message of Muster's may be.
  package static let payload: [UInt8] = {
    let (head, tail) = (Array(#"{"kind":"broker-probe","padding":""#.utf8), Array(#""}"#.utf8))
    return head + [UInt8](repeating: UInt8(ascii: "x"), count: bytes - head.count - tail.count) + tail
  }()

  /// - Returns: what to do about a message of the probe's topic; nil: nothing.
  package mutating func received(_ message: MQTTMessage) -> Action? {
    guard message.payload == Self.payload else { return nil }
    switch (step, message.retained) {
    case (.sent, false):
      step = .asked
      return .ask
    case (.asked, true):
      step = .passed
      return .clear
    default: return nil
    }
  }

  /// What is missing when the time is over; nil: nothing.
  package var missing: String? {
    switch step {
    case .sent:
      "the broker does not deliver a message of \(Self.bytes) bytes; check its limit on the size of messages, and that its ACL lets this user "
        + "write and read \(topic)"
    case .asked: "the broker keeps no retained messages; check that it allows them"
    case .passed: nil
    }
  }
}
