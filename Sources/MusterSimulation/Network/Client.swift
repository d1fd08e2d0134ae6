internal import MusterParticipation
internal import MusterSchema

/// The process that a client belongs to.
protocol ClientOwner: AnyObject {
  var isUp: Bool { get }
  /// The connection is established.
  func connected(_ client: Client)
  /// The connection was lost, or could not be made.
  func disconnected(_ client: Client)
  func received(_ packet: Packet, retained: Bool, by client: Client)
  /// The payload of its birth or its Will.
  func presence(_ client: Client, online: Bool, session: String) -> Payload
}

/// One side of a broker connection, like `BrokerLink` in the servers, and like `Presence` with its connection in a device.
final class Client {
  enum Role {
    /// Subscribes to everything under its own id.
    case coordinator(Int)
    case participant(Int, of: Int)
  }

  let name: String
  let role: Role
  let site: Int
  let broker: Broker
  /// In milliseconds.
  let keepAlive: Int64
  /// The longest pause between two attempts to connect, in milliseconds.
  let patience: Int64
  let presenceKey: TopicKey
  private unowned var attached: (any ClientOwner)?
  /// Fixed for a server. A device gets a new one with each start.
  var clientID: Int
  /// Whether unsent messages are dropped with the connection, rather than sent on the next one.
  let forgetsOnDisconnect: Bool

  private(set) var connection: Connection?
  private(set) var session = ""
  private var guardian: PresenceGuard?
  private var number = 0
  private var failures = 0
  private var connectedAt: Int64 = 0
  private var attempt = 0
  private var notBefore: Int64 = 0
  private(set) var outbox: [(packet: Packet, acknowledgedAt: Int64?)] = []
  /// Whether a message to or from the client was lost silently. Its next connection repairs that.
  var mayHaveMissed = false
  /// Whether another client was seen under its identity.
  private(set) var sawDuplicate = false

  init(
    _ name: String, _ role: Role, site: Int, broker: Broker, clientID: Int, keepAlive: Int64, patience: Int64, forgetsOnDisconnect: Bool
  ) {
    self.name = name
    self.role = role
    self.site = site
    self.broker = broker
    self.clientID = clientID
    self.keepAlive = keepAlive
    self.patience = patience
    self.forgetsOnDisconnect = forgetsOnDisconnect
    presenceKey =
      switch role {
      case .coordinator(let own): TopicKey(.coordinatorState, coordinator: own)
      case .participant(let own, let above): TopicKey(.nodeState, coordinator: above, node: own)
      }
  }

  func attach(_ owner: any ClientOwner) { attached = owner }

  var owner: any ClientOwner {
    guard let attached else { preconditionFailure("the client \(name) has no owner") }
    return attached
  }

  var isConnected: Bool { connection != nil }

  func listens(to key: TopicKey) -> Bool {
    switch role {
    case .coordinator(let own):
      guard key.coordinator == own else { return false }
      return switch key.kind {
      case .coordinatorState, .task, .nodeState, .nodeStatus: true
      case .round, .invitation: false
      }
    case .participant(let own, let above):
      guard key.coordinator == above else { return false }
      return switch key.kind {
      case .coordinatorState, .task: true
      case .nodeState, .invitation: key.node == own
      case .round, .nodeStatus: false
      }
    }
  }

  // MARK: Publishing

  /// - Parameter onlyNow: whether the message is dropped if it cannot be sent on the present connection.
  func publish(_ packet: Packet, onlyNow: Bool, in world: World) {
    let packet = world.coded(packet)
    guard let connection else {
      if !onlyNow && !forgetsOnDisconnect { keep(packet, acknowledgedAt: nil) }
      return
    }
    let arrival = world.send(packet, on: connection)
    guard packet.isLasting, !onlyNow, !forgetsOnDisconnect else { return }
    keep(packet, acknowledgedAt: arrival + 5)
    if outbox.count > 20 { outbox.removeAll { entry in entry.acknowledgedAt.map { $0 < world.time } ?? false } }
    world.auditor.bound(outbox.count, 200, "the outbox of \(name)")
  }

  private func keep(_ packet: Packet, acknowledgedAt: Int64?) {
    // A newer state replaces an older one that has not been sent.
    if packet.isRetained { outbox.removeAll { $0.packet.key == packet.key && $0.acknowledgedAt == nil } }
    outbox.append((packet, acknowledgedAt))
  }

  func publishBirth(in world: World) { if !world.plants(.ignoresForeignWills) { announce(in: world) } }

  /// Publishes its birth again.
  func announce(in world: World) {
    guard connection != nil else { return }
    publish(Packet(presenceKey, owner.presence(self, online: true, session: session)), onlyNow: true, in: world)
  }

  // MARK: The connection

  func start(in world: World) {
    failures = 0
    notBefore = 0
    guardian = nil
    session = ""
    outbox = []
    connect(after: 0, in: world)
  }

  private func connect(after delay: Int64, in world: World) {
    attempt += 1
    let number = attempt
    world.after(max(delay, notBefore - world.time)) { world in
      if self.attempt == number, self.owner.isUp, self.connection == nil { self.tryToConnect(in: world) }
    }
  }

  private func tryToConnect(in world: World) {
    let number = attempt
    let isBlocked = world.network.isBlocked(site, broker.site)
    world.after(isBlocked ? 10_000 : 2 * world.lag(site, broker.site)) { world in
      guard self.attempt == number, self.owner.isUp, self.connection == nil else { return }
      if isBlocked || !self.broker.isUp || world.network.isBlocked(self.site, self.broker.site) {
        self.owner.disconnected(self)
        self.retry(lived: 0, in: world)
      } else {
        self.establish(in: world)
      }
    }
  }

  private func retry(lived: Int64, in world: World) {
    if lived >= 5000 { failures = 0 }
    let ceiling = min(patience, 100 << min(Int64(failures), 20))
    failures += 1
    connect(after: world.random.within(0...ceiling), in: world)
  }

  private func establish(in world: World) {
    number += 1
    let previous = session
    session = world.newSession()
    guardian = PresenceGuard(session: session, previous: previous.isEmpty ? nil : previous)
    let will = Packet(presenceKey, owner.presence(self, online: false, session: session))
    let fresh = Connection(client: self, broker: broker, number: number, clientID: clientID, will: will)
    for old in broker.connections where old.clientID == clientID { world.closeAtBroker(old) }
    broker.open(fresh)
    connection = fresh
    connectedAt = world.time
    mayHaveMissed = false
    world.note(.connection, name, "connects, session \(session)")
    for key in broker.retained.keys.filter(listens).sorted() {
      if let packet = broker.retained[key] { world.deliver(packet, retained: true, on: fresh) }
    }
    let waiting = outbox.filter { $0.acknowledgedAt == nil }.map(\.packet)
    outbox = []
    publish(Packet(presenceKey, owner.presence(self, online: true, session: session)), onlyNow: true, in: world)
    for packet in waiting { publish(packet, onlyNow: false, in: world) }
    owner.connected(self)
  }

  /// The client notices that the connection is gone.
  func lost(_ old: Connection, in world: World) {
    guard connection === old else { return }
    old.isOpenAtClient = false
    connection = nil
    guard owner.isUp else { return }
    world.note(.connection, name, "has lost its connection")
    requeue(since: old.deadSince ?? world.time)
    owner.disconnected(self)
    retry(lived: world.time - connectedAt, in: world)
  }

  /// Keeps the messages that were not acknowledged for the next connection, except those that a newer one replaces.
  private func requeue(since: Int64) {
    var states: Set<TopicKey> = []
    var kept: [Packet] = []
    for entry in outbox.reversed() where entry.acknowledgedAt.map({ $0 > since }) ?? true {
      if entry.packet.isRetained, !states.insert(entry.packet.key).inserted { continue }
      kept.append(entry.packet)
    }
    outbox = kept.reversed().map { ($0, nil) }
  }

  /// Drops the connection and makes a new one, no sooner than after the delay.
  func renew(after delay: Int64, in world: World) {
    notBefore = world.time + delay
    guard let old = connection else { return }
    old.isOpenAtClient = false
    connection = nil
    requeue(since: old.deadSince ?? world.time)
    world.after(world.lag(site, broker.site)) { $0.closeAtBroker(old) }
    owner.disconnected(self)
    connect(after: delay, in: world)
  }

  /// The process is gone. The kernel of a killed process tells the broker so; after a loss of power the broker has to notice by itself.
  func die(power: Bool, in world: World) {
    attempt += 1
    guard let old = connection else { return }
    old.isOpenAtClient = false
    connection = nil
    old.deadSince = old.deadSince ?? world.time
    world.after(power ? keepAlive * 3 / 2 : world.lag(site, broker.site)) { $0.closeAtBroker(old) }
  }

  /// Disconnects in order: publishes that it is offline, and withdraws its Will.
  func leave(in world: World) {
    attempt += 1
    guard let old = connection else { return }
    publish(Packet(presenceKey, owner.presence(self, online: false, session: session)), onlyNow: true, in: world)
    old.isOpenAtClient = false
    connection = nil
    world.after(max(0, old.lastUp - world.time) + 1) { world in
      guard old.isOpenAtBroker, old.broker.isUp else { return }
      old.isOpenAtBroker = false
      old.broker.close(old)
    }
  }

  // MARK: Receiving

  func receive(_ packet: Packet, retained: Bool, in world: World) {
    guard owner.isUp else { return }
    guard packet.key == presenceKey else {
      owner.received(packet, retained: retained, by: self)
      return
    }
    let found: (online: Bool, session: String)? =
      switch packet.payload {
      case .coordinator(let state): (state.online, state.session)
      case .node(let state): (state.online, state.session)
      default: nil
      }
    guard let found else { return publishBirth(in: world) }
    switch guardian?.action(online: found.online, session: found.session, retained: retained) {
    case .publishBirth: publishBirth(in: world)
    case .duplicate:
      sawDuplicate = true
      world.note(.connection, name, "sees another client online under its identity")
      renew(after: 30_000 + world.random.within(0...30_000), in: world)
    case .some(.none), nil: break
    }
  }
}
