import MusterSchema
import Testing

@testable import MusterCoordination

/// One connection to a broker.
enum Endpoint: Hashable, CustomStringConvertible {
  case central
  case above(NodeID)
  case below(NodeID)
  case device(NodeID)

  var description: String {
    switch self {
    case .central: "central"
    case .above(let region): "\(region)-above"
    case .below(let region): "\(region)-below"
    case .device(let device): "\(device)"
    }
  }
}

/// What becomes of a message that is lost: a connection loses messages only by breaking.
enum Loss: Sendable {
  /// It never reaches the broker, and the sender's connection breaks.
  case sender
  /// The broker has it, but the connections of those who should get it break.
  case receivers
  /// It is gone, and nobody notices.
  case silent
  /// It comes twice, as QoS 1 allows.
  case twice
}

struct Broker {
  struct Connection {
    var number = 0
    var isOnline = false
    var lastArrival: Int64 = 0
  }

  var connections: [Endpoint: Connection] = [:]
  var retained: [String: (topic: Topic, payload: [UInt8])] = [:]
  var published = 0
  /// Says what becomes of the n-th message.
  var fault: (Int, Topic) -> Loss? = { _, _ in nil }
}

extension World {
  func session(_ endpoint: Endpoint) -> String { "\(endpoint)-\(broker.connections[endpoint]?.number ?? 0)" }

  func isProcessUp(_ endpoint: Endpoint) -> Bool {
    switch endpoint {
    case .central: central.isUp
    case .above(let region), .below(let region): regions[region]?.isUp == true
    case .device(let device): devices[device]?.host.isUp == true
    }
  }

  /// Subscribes, publishes the birth, and lets the machine say what it owes.
  func connect(_ endpoint: Endpoint) {
    guard isProcessUp(endpoint), broker.connections[endpoint]?.isOnline != true else { return }
    broker.connections[endpoint, default: Broker.Connection()].number += 1
    broker.connections[endpoint]?.isOnline = true
    for key in broker.retained.keys.sorted() {
      if let entry = broker.retained[key], receives(endpoint, entry.topic) { deliver(entry.payload, entry.topic, to: endpoint) }
    }
    publishPresence(endpoint, online: true)
    switch endpoint {
    case .central: tell(.connected)
    case .above(let region): tell(region, .above(.connected))
    case .below(let region): tell(region, .below(.connected))
    case .device(let device): tell(device, .connected)
    }
  }

  /// The connection breaks: the broker publishes the Will.
  func disconnect(_ endpoint: Endpoint, reconnectsAfter delay: Int64? = nil) {
    guard broker.connections[endpoint]?.isOnline == true else { return }
    publishPresence(endpoint, online: false)
    broker.connections[endpoint]?.isOnline = false
    noticeDisconnect(endpoint)
    if let delay { after(delay) { self.connect(endpoint) } }
  }

  private func noticeDisconnect(_ endpoint: Endpoint) {
    guard isProcessUp(endpoint) else { return }
    switch endpoint {
    case .central: tell(.disconnected)
    case .below(let region): tell(region, .below(.disconnected))
    case .above, .device: break
    }
  }

  /// The broker is gone for everybody, with what it remembered: a dead broker fires no Will.
  func brokerDies() {
    broker.retained = [:]
    for endpoint in endpoints where broker.connections[endpoint]?.isOnline == true {
      broker.connections[endpoint]?.isOnline = false
      noticeDisconnect(endpoint)
    }
  }

  func brokerReturns() {
    for (index, endpoint) in endpoints.enumerated() { after(Int64(index * 300)) { self.connect(endpoint) } }
  }

  private func publishPresence(_ endpoint: Endpoint, online: Bool) {
    let session = session(endpoint)
    switch endpoint {
    case .central:
      send(CoordinatorState(coordinator: .central, online: online, session: session), .coordinatorState(.central), from: endpoint)
    case .below(let region):
      send(CoordinatorState(coordinator: region, online: online, session: session), .coordinatorState(region), from: endpoint)
    case .above(let region):
      send(
        NodeState(node: region, online: online, session: session, nodeKind: .region),
        .nodeState(coordinator: .central, node: region), from: endpoint)
    case .device(let id):
      guard let device = devices[id] else { return }
      send(device.birth(online: online, session: session), .nodeState(coordinator: device.region, node: id), from: endpoint)
    }
  }

  func send(_ message: some Message, _ topic: Topic, retained: Bool = true, from sender: Endpoint) {
    do {
      publish(try MessageCoder.encode(message), topic, retained: retained, from: sender)
    } catch {
      Issue.record("\(topic): \(error)")
    }
  }

  func clear(_ topic: Topic, from sender: Endpoint) {
    guard broker.connections[sender]?.isOnline == true else { return }
    broker.retained[topic.description] = nil
  }

  private func publish(_ payload: [UInt8], _ topic: Topic, retained: Bool, from sender: Endpoint) {
    guard broker.connections[sender]?.isOnline == true else { return }
    broker.published += 1
    note("\(topic) \(String(decoding: payload, as: UTF8.self))")
    let loss = broker.fault(broker.published, topic)
    if loss == .silent { return }
    if loss == .sender {
      disconnect(sender, reconnectsAfter: 400)
      return
    }
    if retained { broker.retained[topic.description] = (topic, payload) }
    for endpoint in endpoints where broker.connections[endpoint]?.isOnline == true && receives(endpoint, topic) {
      if loss == .receivers { disconnect(endpoint, reconnectsAfter: 400) } else { deliver(payload, topic, to: endpoint) }
      if loss == .twice { deliver(payload, topic, to: endpoint) }
    }
  }

  /// A connection keeps the order of its messages.
  private func deliver(_ payload: [UInt8], _ topic: Topic, to endpoint: Endpoint) {
    guard let connection = broker.connections[endpoint] else { return }
    let arrival = max(time + 2 + Int64(endpoints.firstIndex(of: endpoint) ?? 0) % 5, connection.lastArrival)
    broker.connections[endpoint]?.lastArrival = arrival
    after(arrival - time) {
      guard let current = self.broker.connections[endpoint], current.isOnline, current.number == connection.number else { return }
      self.receive(payload, topic, at: endpoint)
    }
  }

  private func receives(_ endpoint: Endpoint, _ topic: Topic) -> Bool {
    switch (endpoint, topic) {
    case (.central, .nodeState(.central, _)), (.central, .nodeStatus(.central, _, _)): true
    case (.above, .coordinatorState(.central)), (.above, .task(.central, _)): true
    case (.above(let region), .invitation(.central, let node, _)): node == region
    case (.below(let region), .nodeState(let coordinator, _)), (.below(let region), .nodeStatus(let coordinator, _, _)):
      coordinator == region
    case (.device(let id), .coordinatorState(let coordinator)), (.device(let id), .task(let coordinator, _)):
      devices[id]?.region == coordinator
    case (.device(let id), .invitation(let coordinator, let node, _)): devices[id]?.region == coordinator && node == id
    default: false
    }
  }

  private func receive(_ payload: [UInt8], _ topic: Topic, at endpoint: Endpoint) {
    do {
      switch topic {
      case .coordinatorState: participant(endpoint, .coordinator(try MessageCoder.decode(CoordinatorState.self, from: payload)))
      case .task: participant(endpoint, .descriptor(try MessageCoder.decode(TaskDescriptor.self, from: payload)))
      case .invitation: participant(endpoint, .invitation(try MessageCoder.decode(Invitation.self, from: payload)))
      case .nodeState: coordinator(endpoint, .node(try MessageCoder.decode(NodeState.self, from: payload)))
      case .nodeStatus: coordinator(endpoint, .status(try MessageCoder.decode(NodeStatus.self, from: payload)))
      case .round: break
      }
    } catch {
      Issue.record("\(topic): \(error)")
    }
  }

  private func participant(_ endpoint: Endpoint, _ event: Participant.Event) {
    switch endpoint {
    case .above(let region): tell(region, .above(event))
    case .device(let device): tell(device, event)
    case .central, .below: Issue.record("\(endpoint) is no participant")
    }
  }

  private func coordinator(_ endpoint: Endpoint, _ event: Coordinator.Event) {
    switch endpoint {
    case .central: tell(event)
    case .below(let region): tell(region, .below(event))
    case .above, .device: Issue.record("\(endpoint) is no coordinator")
    }
  }
}
