import MusterMQTT
import MusterParticipation
import MusterSchema

/// The loop on one thread that runs all devices: their sockets, machines and timers.
final class DeviceLoop {
  enum Timer {
    /// The deadline of a device's machine.
    case tick(Int)
    case connect(Int)
    case transfer(Transfer)
  }

  let configuration: LoadConfiguration
  let link: LoadLink
  let crowd: Crowd
  var devices: [LoadDevice]
  var measures: LoadMeasures
  var timers = TimerHeap<Timer>()
  /// Transfers that wait for their turn, with the index of the first, and the number of transfers in progress.
  var waiting: [Transfer] = []
  var firstWaiting = 0
  var underWay = 0
  /// The last payload of each topic that many devices read, decoded once.
  var descriptors: [String: (payload: [UInt8], value: TaskDescriptor)] = [:]
  var states: [String: (payload: [UInt8], value: CoordinatorState)] = [:]
  var progress = LoadProgress()
  var lastError: MQTTError?
  private let started = ContinuousClock.now
  /// The number of devices that have not been opened yet.
  private var unopened: Int
  private var lastConnected = ContinuousClock.now
  var hasConnected = false
  var hasEnded = false

  private init(_ configuration: LoadConfiguration, _ link: LoadLink) throws(LoadError) {
    self.configuration = configuration
    self.link = link
    devices = configuration.devices.map { LoadDevice($0) }
    measures = LoadMeasures(devices: devices.count)
    unopened = devices.count
    let base = MQTTConfiguration(host: configuration.host, port: configuration.port, clientID: "muster-load")
    crowd = try Crowd(base, members: devices.count, waker: link.waker)
  }

  /// Runs until the link asks it to stop, or until something fails. A failure is reported through the link.
  static func run(_ configuration: LoadConfiguration, _ link: LoadLink) {
    do {
      let loop = try DeviceLoop(configuration, link)
      defer {
        loop.crowd.close()
        link.measures = loop.measures
      }
      try loop.work()
    } catch {
      link.report.yield(.failed(error as? LoadError ?? .system("\(error)")))
    }
  }

  private func work() throws {
    while true {
      let (ends, isStopping) = link.take()
      if isStopping { return }
      for end in ends { try ended(end) }
      let now = ContinuousClock.now
      while let timer = timers.take(at: now) { try ring(timer) }
      try connectMore()
      startTransfers()
      for (member, event) in try crowd.turn(until: min(timers.next ?? now + .seconds(1), now + .seconds(1))) {
        try handle(event, of: member)
      }
      link.progress = progress
    }
  }

  /// The machines' own time: milliseconds since the loop began.
  func instant(_ time: ContinuousClock.Instant = .now) -> Instant {
    Instant(milliseconds: Int64((time - started) / .milliseconds(1)))
  }

  // MARK: Connections

  /// Opens more connections. The number of handshakes at a time is bounded, because the broker's queue of new connections is short.
  private func connectMore() throws {
    while unopened > 0, crowd.handshakes < configuration.handshakes {
      unopened -= 1
      try open(devices.count - 1 - unopened)
    }
    guard !hasConnected, ContinuousClock.now - lastConnected > .seconds(60) else { return }
    throw LoadError.noProgress(connected: progress.connected, devices: devices.count, reason: lastError)
  }

  private func open(_ index: Int) throws {
    devices[index].begin()
    let device = devices[index]
    try crowd.open(
      index, clientID: "muster-\(device.region)-\(device.id)-\(device.session)", will: MQTTMessage(device.stateTopic, device.lastWill),
      filters: Topic.participantFilters(device.region, node: device.id).map { MQTTSubscription($0) })
  }

  private func handle(_ event: Crowd.Event, of index: Int) throws {
    switch event {
    case .connected:
      devices[index].failures = 0
      progress.connected += 1
      lastConnected = .now
      try announce(index)
      try receive(.connected, at: index)
      if progress.connected == devices.count, !hasConnected {
        hasConnected = true
        link.report.yield(.connected)
      }
    case .lost(let error):
      lastError = error
      // The machine keeps its state. On the next connection it repeats what it owes.
      if devices[index].isOnline {
        progress.connected -= 1
        measures.lostConnections += 1
      }
      devices[index].isOnline = false
      devices[index].failures += 1
      let most = 0.1 * Double(1 << min(devices[index].failures, 8))
      timers.add(.connect(index), due: .now + .seconds(Double.random(in: 0...most)))
    case .message(let message): try received(message, at: index)
    }
  }

  func announce(_ index: Int) throws {
    devices[index].isOnline = true
    try crowd.publish(MQTTMessage(devices[index].stateTopic, devices[index].birth), from: index)
  }

  private func ring(_ timer: Timer) throws {
    switch timer {
    case .tick(let index):
      devices[index].alarm = nil
      try receive(.tick, at: index)
    case .connect(let index): try open(index)
    case .transfer(let transfer): enqueue(transfer)
    }
  }
}
