import FoundationEssentials
import MusterSchema
import Testing

/// All MQTT messages that were captured from an earlier version, in `Tests/Captured`.
@Suite struct CapturedMessageTests {
  @Test("Every MQTT line of an earlier version is understood", arguments: ["0.1.0"])
  func lines(version: String) throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let lines = try String(contentsOf: folder.appending(path: "Captured/\(version)/mqtt.txt"), encoding: .utf8).split(separator: "\n")
    var kinds: [String: Int] = [:]
    for line in lines where line.hasPrefix("muster/") {
      let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
      let topic = try Topic(parsing: String(parts[0]))
      // mosquitto_sub prints (null) for an empty payload, which clears a retained topic.
      guard let payload = parts.last.map({ Array($0.utf8) }), parts.last != "(null)" else { continue }
      kinds[try understand(topic, payload), default: 0] += 1
    }
    #expect(
      Set(kinds.keys) == ["coordinator-state", "task", "round-state", "node-state", "node-status", "invitation"], "\(kinds)")
  }

  private func understand(_ topic: Topic, _ payload: [UInt8]) throws -> String {
    func read<M: Message>(_ type: M.Type) throws -> String {
      _ = try MessageCoder.decode(type, from: payload)
      return M.kind
    }
    return switch topic {
    case .coordinatorState: try read(CoordinatorState.self)
    case .task: try read(TaskDescriptor.self)
    case .round: try read(RoundState.self)
    case .nodeState: try read(NodeState.self)
    case .nodeStatus: try read(NodeStatus.self)
    case .invitation: try read(Invitation.self)
    }
  }
}
