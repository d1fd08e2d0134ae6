import MusterLoad
import MusterMQTT
import MusterSchema
import Synchronization
import TestSupport
import Testing

/// The devices of `muster load` when the broker closes their connections.
@Suite(.timeLimit(.minutes(1)))
struct LoadReconnectTests {
  private static let region = NodeID(unchecked: "north")

  private func configuration(_ broker: BrokerProcess, devices: Int) -> LoadConfiguration {
    LoadConfiguration(
      host: "127.0.0.1", port: broker.port, devices: (1...devices).map { NodePath(Self.region, NodeID(unchecked: "pi-\($0)")) },
      task: TaskID(unchecked: "load"), transfers: 4, spreads: false)
  }

  @Test("After the death of the broker every device is back with a new session")
  func brokerDies() async throws {
    let broker = try await BrokerProcess.started()
    let (_, measures) = try await LoadFleet.with(configuration(broker, devices: 20)) { fleet in
      #expect(try await isConnected(fleet))
      let before = try await withFleetWatched(on: broker) { try await $0.sessions(of: 20) }
      try await broker.kill()
      #expect(try await eventually { fleet.progress.connected == 0 })
      try await broker.start()
      #expect(try await eventually(within: .seconds(40)) { fleet.progress.connected == 20 })
      let after = try await withFleetWatched(on: broker) { try await $0.sessions(of: 20) }
      #expect(Set(after.keys) == Set(before.keys))
      #expect(before.allSatisfy { after[$0.key] != $0.value })
    }
    #expect(measures.lostConnections == 20)
  }

  @Test("A device whose connection is taken comes back alone, and the old connection's Will does not remain")
  func connectionIsTaken() async throws {
    let broker = try await BrokerProcess.started()
    let (_, measures) = try await LoadFleet.with(configuration(broker, devices: 3)) { fleet in
      #expect(try await isConnected(fleet))
      try await withFleetWatched(on: broker) { states in
        let before = try await states.sessions(of: 3)
        let victim = NodeID(unchecked: "pi-2")
        let session = try #require(before[victim])
        try await withConnection(broker.client("muster-\(Self.region)-\(victim)-\(session)")) { thief in
          var events = thief.events.makeAsyncIterator()
          try await untilConnected(&events)
          #expect(try await eventually { states.sessions[victim].map { $0 != session } ?? false })
        }
        let after = try await states.sessions(of: 3)
        #expect(after.filter { before[$0.key] != $0.value }.map(\.key) == [victim])
      }
      // A client that connects now receives only retained messages.
      _ = try await withFleetWatched(on: broker) { try await $0.sessions(of: 3) }
      #expect(fleet.progress.connected == 3)
    }
    #expect(measures.lostConnections == 1)
  }

  /// Waits for the first event, which must say that all devices are connected.
  private func isConnected(_ fleet: LoadFleet) async throws -> Bool {
    for await event in fleet.events {
      if case .connected = event { return true }
      Issue.record("unexpected: \(event)")
      return false
    }
    return false
  }

  /// Reads all devices' state topics while `body` runs, as a region would.
  private func withFleetWatched<Result: Sendable>(
    on broker: BrokerProcess, _ body: (States) async throws -> Result
  ) async throws -> Result {
    let states = States()
    let subscriptions = Topic.coordinatorFilters(Self.region).map { MQTTSubscription($0) }
    return try await withConnection(broker.client("watcher"), subscriptions: subscriptions) { connection in
      let reading = Task {
        for await event in connection.events {
          if case .message(let message) = event { try states.read(message) }
        }
      }
      defer { reading.cancel() }
      return try await body(states)
    }
  }

  /// The last state of each device.
  private final class States: Sendable {
    private let last = Mutex<[NodeID: NodeState]>([:])

    /// The sessions of the devices that are online.
    var sessions: [NodeID: String] { last.withLock { $0.filter(\.value.online).mapValues(\.session) } }

    /// Waits until `count` devices are online.
    func sessions(of count: Int) async throws -> [NodeID: String] {
      guard try await eventually({ sessions.count == count }) else {
        throw TestSupportError("\(sessions.count) of \(count) devices are online")
      }
      return sessions
    }

    func read(_ message: MQTTMessage) throws {
      guard case .nodeState = try Topic(parsing: message.topic) else { return }
      let state = try MessageCoder.decode(NodeState.self, from: message.payload)
      last.withLock { $0[state.node] = state }
    }
  }
}
