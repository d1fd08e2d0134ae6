internal import MusterCoordination
internal import MusterParticipation
internal import MusterSchema
internal import MusterShell

/// Another central on the broker for some seconds, such as a standby that was revived or a copy for staging. It has a task that the first
/// one does not know, publishes it, and sends invitations.
///
/// It has no store, because no check depends on one.
final class SecondCentral: ClientOwner {
  private unowned let world: World
  private var machine: Coordinator
  private var desk = CentralDesk(secret: Array("another secret".utf8))
  private(set) var isUp = false
  private var since: Int64 = 0
  let client: Client

  static let task = TaskID(unchecked: "staged")

  init(_ world: World, site: Int, broker: Broker, regions: [NodeID], patience: Int64) {
    self.world = world
    machine = Coordinator(id: .central, configuration: CoordinatorConfiguration(data: "http://central:7400", declared: Set(regions)))
    client = Client(
      "central'", .coordinator(world.directory.number(NodeID.central)), site: site, broker: broker, clientID: world.newClientID(),
      keepAlive: world.plan.keepAlive, patience: patience, forgetsOnDisconnect: true)
    client.attach(self)
  }

  func start(_ specification: TaskSpecification) {
    isUp = true
    since = world.time
    world.note(.life, client.name, "starts")
    handle(.accept(Self.task, specification))
    handle(.initialized(Self.task, ModelReference(digest: world.digest("\(Self.task)/0"), bytes: 1000)))
    client.start(in: world)
    tick()
  }

  func die() {
    guard isUp else { return }
    isUp = false
    world.note(.life, client.name, "dies")
    client.die(power: false, in: world)
  }

  private func tick() {
    guard isUp else { return }
    handle(.tick)
    world.after(500) { [weak self] _ in self?.tick() }
  }

  private func handle(_ event: Coordinator.Event) {
    for effect in machine.handle(event, at: Instant(milliseconds: world.time - since)).effects { perform(effect) }
  }

  private func perform(_ effect: Coordinator.Effect) {
    guard case .publish(let publication) = desk.command(for: effect, of: machine) else { return }
    client.publish(world.packet(publication), onlyNow: true, in: world)
  }

  // MARK: Topics

  func connected(_: Client) { handle(.connected) }
  func disconnected(_: Client) { handle(.disconnected) }

  func presence(_: Client, online: Bool, session: String) -> Payload {
    .coordinator(CoordinatorState(coordinator: .central, online: online, session: session, data: "http://central:7400"))
  }

  func received(_ packet: Packet, retained: Bool, by client: Client) {
    if let event = world.coordinatorEvent(packet, retained: retained) { handle(event) }
  }
}
