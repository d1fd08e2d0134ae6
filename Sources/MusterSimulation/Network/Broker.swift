internal import MusterSchema

/// One TCP connection between a client and its broker. The two may disagree on whether it is open.
final class Connection {
  let client: Client
  let broker: Broker
  /// The client's own number of the connection, from 1.
  let number: Int
  /// The id by which the broker knows the client. A second connection with the same id closes the first one.
  let clientID: Int
  let will: Packet

  var isOpenAtClient = true
  var isOpenAtBroker = true
  /// Nothing gets through any more, in either direction, and neither side is told.
  var isHalfOpen = false
  /// Since when nothing gets through.
  var deadSince: Int64?
  /// The last arrivals upward and downward: each direction keeps its order.
  var lastUp: Int64 = 0
  var lastDown: Int64 = 0
  /// Packets that the network holds back while it is cut. They get through afterwards if both sides still have the connection then.
  var stalledUp: [Packet] = []
  var stalledDown: [(packet: Packet, retained: Bool)] = []
  /// A packet that others have overtaken. Later packets on its own topic still come after it.
  var overtaken: (key: TopicKey, until: Int64)?

  init(client: Client, broker: Broker, number: Int, clientID: Int, will: Packet) {
    self.client = client
    self.broker = broker
    self.number = number
    self.clientID = clientID
    self.will = will
  }
}

/// An MQTT 3.1.1 broker: retained messages, Wills, clean sessions.
final class Broker {
  let name: String
  let site: Int
  private(set) var isUp = true
  private(set) var retained: [TopicKey: Packet] = [:]
  private(set) var connections: [Connection] = []
  /// The retained messages that its persistence wrote last.
  private var snapshot: [TopicKey: Packet] = [:]
  private(set) var published = 0

  init(name: String, site: Int) {
    self.name = name
    self.site = site
  }

  /// What becomes of its memory when it dies. A snapshot loses everything that came after it was written.
  enum Memory { case kept, snapshot, lost }

  func saveSnapshot() { snapshot = retained }

  func open(_ connection: Connection) { connections.append(connection) }
  func close(_ connection: Connection) { connections.removeAll { $0 === connection } }

  /// Dies, and returns the connections that break with it. A dead broker fires no Will.
  func die(_ memory: Memory) -> [Connection] {
    isUp = false
    switch memory {
    case .kept: break
    case .snapshot: retained = snapshot
    case .lost:
      retained = [:]
      snapshot = [:]
    }
    defer { connections = [] }
    return connections
  }

  func start() { isUp = true }

  func keep(_ packet: Packet) {
    published += 1
    guard packet.isRetained else { return }
    retained[packet.key] = packet.payload == .cleared ? nil : packet
  }
}

// What a broker does with packets and connections.
extension World {
  /// Sends a client's packet to the broker.
  func send(_ packet: Packet, on connection: Connection) -> Int64 {
    let arrival = max(time + lag(connection.client.site, connection.broker.site), connection.lastUp)
    connection.lastUp = arrival
    queue.add(.arrival(connection, packet), at: arrival)
    return arrival
  }

  func arrived(_ packet: Packet, on connection: Connection) {
    guard connection.isOpenAtBroker, connection.broker.isUp, !connection.isHalfOpen else { return }
    if network.isBlocked(connection.client.site, connection.broker.site) {
      connection.stalledUp.append(packet)
      return
    }
    if isFaulty {
      switch fault(packet) {
      case .sender:
        breakConnection(connection)
        return
      case .silent:
        connection.client.mayHaveMissed = true
        return
      case .twice: publish(packet, at: connection.broker)
      case .receivers:
        connection.broker.keep(packet)
        for other in connection.broker.connections where other.client.listens(to: packet.key) { breakConnection(other) }
        return
      case nil: break
      }
    }
    publish(packet, at: connection.broker)
  }

  private func fault(_ packet: Packet) -> Loss? {
    faultedMessages += 1
    if let scripted = messageFault?(faultedMessages, directory.topic(packet.key)) { return scripted }
    let weather = network.weather
    if weather.breaking > 0, random.chance(weather.breaking) { return random.chance(0.5) ? .sender : .receivers }
    // There is no silent loss here: a clearing, a birth or a Will that got lost would stay lost as long as the connection lives. The
    // broker itself loses nothing.
    return nil
  }

  /// The broker has received the packet: it retains it if it should, and forwards it to subscribers.
  func publish(_ packet: Packet, at broker: Broker) {
    trace.begin(time, .publish)
    trace.fold(packet)
    trace.add("\(clock) \(broker.name.padded(14)) \(directory.topic(packet.key)) \(describe(packet.payload))")
    broker.keep(packet)
    auditor.published(packet, at: broker)
    for connection in broker.connections where connection.client.listens(to: packet.key) {
      deliver(packet, retained: false, on: connection)
    }
  }

  func deliver(_ packet: Packet, retained: Bool, on connection: Connection) {
    let weather = network.weather
    if weather.silentLoss > 0, random.chance(weather.silentLoss) {
      connection.client.mayHaveMissed = true
      note(.fault, connection.broker.name, "loses \(directory.topic(packet.key)) on its way to \(connection.client.name)")
      return
    }
    var arrival = max(time + lag(connection.broker.site, connection.client.site), connection.lastDown)
    if let overtaken = connection.overtaken, overtaken.key == packet.key { arrival = max(arrival, overtaken.until) }
    if weather.reorder > 0, connection.overtaken.map({ time > $0.until }) ?? true, random.chance(weather.reorder) {
      // Later packets on other topics overtake it.
      arrival += random.within(20...1500)
      connection.overtaken = (packet.key, arrival)
    } else {
      connection.lastDown = arrival
    }
    queue.add(.delivery(connection, packet, retained: retained), at: arrival)
    if weather.duplicate > 0, packet.isLasting, random.chance(weather.duplicate) {
      let again = arrival + random.within(0...400)
      connection.lastDown = max(connection.lastDown, again)
      queue.add(.delivery(connection, packet, retained: retained), at: again)
    }
  }

  func delivered(_ packet: Packet, retained: Bool, on connection: Connection) {
    guard connection.isOpenAtClient, !connection.isHalfOpen, connection.client.connection === connection else { return }
    if network.isBlocked(connection.client.site, connection.broker.site) {
      connection.stalledDown.append((packet, retained))
      return
    }
    connection.client.receive(packet, retained: retained, in: self)
  }

  /// The path is open again: delivers what was held back.
  func flush(_ connection: Connection) {
    connection.deadSince = connection.isHalfOpen ? connection.deadSince : nil
    for packet in connection.stalledUp { _ = send(packet, on: connection) }
    for (packet, retained) in connection.stalledDown { queue.add(.delivery(connection, packet, retained: retained), at: time + 1) }
    connection.stalledUp = []
    connection.stalledDown = []
  }

  /// Both sides learn soon that the connection is gone.
  func breakConnection(_ connection: Connection) {
    guard connection.isOpenAtBroker || connection.isOpenAtClient else { return }
    note(.fault, connection.client.name, "its connection breaks")
    connection.deadSince = connection.deadSince ?? time
    connection.isHalfOpen = true
    after(random.within(0...50)) { $0.closeAtBroker(connection) }
    connection.client.lost(connection, in: self)
  }

  /// The broker gives up the connection and publishes its Will.
  func closeAtBroker(_ connection: Connection) {
    guard connection.isOpenAtBroker else { return }
    connection.isOpenAtBroker = false
    guard connection.broker.isUp else { return }
    connection.broker.close(connection)
    publish(connection.will, at: connection.broker)
    let client = connection.client
    if connection.isOpenAtClient, !connection.isHalfOpen, !network.isBlocked(client.site, connection.broker.site) {
      after(lag(client.site, connection.broker.site)) { client.lost(connection, in: $0) }
    }
  }

  /// The path is cut. Each side notices after its keepalive, if the path is still cut then.
  func watchSilence(_ connection: Connection) {
    guard connection.deadSince == nil else { return }
    connection.deadSince = time
    let since = time
    let keepAlive = connection.client.keepAlive
    after(random.within(keepAlive...(keepAlive * 3 / 2))) { world in
      if connection.deadSince == since { connection.client.lost(connection, in: world) }
    }
    after(keepAlive * 3 / 2) { world in if connection.deadSince == since { world.closeAtBroker(connection) } }
  }

  func kill(_ broker: Broker, _ memory: Broker.Memory) {
    guard broker.isUp else { return }
    note(.fault, broker.name, "dies, its memory is \(memory)")
    for connection in broker.die(memory) {
      connection.isOpenAtBroker = false
      connection.deadSince = connection.deadSince ?? time
      let client = connection.client
      if connection.isHalfOpen || network.isBlocked(client.site, broker.site) { continue }
      after(lag(client.site, broker.site)) { client.lost(connection, in: $0) }
    }
  }
}

/// What happens to one message, as scripted by a test or drawn from the weather.
package enum Loss: Sendable {
  /// It never reaches the broker, and the sender's connection breaks.
  case sender
  /// The broker has it, but the connections of its subscribers break.
  case receivers
  /// It is lost, and no side notices.
  case silent
  /// It arrives twice, as QoS 1 allows.
  case twice
}
