package import MusterMQTT
package import MusterSchema

/// Checks on each connection of a coordinator whether the broker has the features that Muster needs: it delivers messages of 4 KiB, and it
/// keeps retained messages. Brokers without them give no error: they acknowledge the message and drop it.
///
/// This is a value that is told about arriving messages and returns actions. The probe uses a topic that no other program uses: the status
/// topic of the coordinator as its own node. No device may have a coordinator's name, and the ACL of `broker/acl` lets a coordinator write
/// and read this topic.
package struct BrokerProbe: Hashable, Sendable {
  package enum Step: Hashable, Sendable {
    /// The message was sent.
    case sent
    /// The message arrived, and its retained copy was requested.
    case asked
    case passed
  }

  package enum Action: Hashable, Sendable {
    /// Subscribe to the topic again, so that the broker sends the retained copy.
    case ask
    /// The probe has passed: clear the topic.
    case clear
  }

  package static let bytes = 4096
  /// Time after which a feature counts as missing. Every broker that has it answers far sooner.
  package static let patience = Duration.seconds(10)

  package let topic: String
  package private(set) var step = Step.sent

  package init(coordinator: NodeID) {
    topic = "\(Topic.nodeStatus(coordinator: coordinator, node: coordinator, task: TaskID(unchecked: "broker-probe")))"
  }

  /// A message of the largest size that Muster uses.
  package static let payload: [UInt8] = {
    let (head, tail) = (Array(#"{"kind":"broker-probe","padding":""#.utf8), Array(#""}"#.utf8))
    return head + [UInt8](repeating: UInt8(ascii: "x"), count: bytes - head.count - tail.count) + tail
  }()

  /// - Returns: the action for a message on the probe's topic; `nil` if none is needed.
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

  /// A sentence about the missing feature when the time is over; `nil` if the probe has passed.
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
