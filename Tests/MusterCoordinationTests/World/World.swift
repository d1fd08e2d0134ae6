import MusterSchema
import Testing

@testable import MusterCoordination

/// Central, two regions and their devices in one process: the machines as they are, everything around them on a virtual clock.
final class World {
  static let regionNames: [NodeID] = [NodeID.north, .south]

  private(set) var time: Int64 = 0
  private var queue: [(time: Int64, order: Int, action: () -> Void)] = []
  private var order = 0
  private var idleTicks = 0

  let central: Host<Coordinator>
  var regions: [NodeID: Host<RegionMachine>] = [:]
  var devices: [NodeID: Device] = [:]
  var broker = Broker()

  /// Milliseconds until a server that died is back; nil: it stays away.
  var restartsAfter: Int64? = 1500
  /// The metrics that central's evaluation of a round gives.
  var metrics: (Int) -> [String: Double] = { ["accuracy": 0.5 + Double($0) / 100] }
  var refusesUpdates: (NodePath) -> String? = { _ in nil }
  var replies: [UInt64: (Coordinator.Answer) -> Void] = [:]
  private var replyNumber: UInt64 = 0
  /// Contributions that were answered with "stored".
  var promised: [(ledger: NodeID, task: TaskID, round: Int, phase: Phase, contribution: ContributionRecord)] = []
  /// Everything that went over a wire or to a disk, in order.
  var trace: [String] = []
  var keepsTrace = false
  /// After each commit: does replaying the journal give the same state?
  var checksReplay = false

  init(devicesPerRegion: [Int] = [3, 3]) {
    central = Host { records in
      Coordinator(
        id: .central, configuration: CoordinatorConfiguration(data: "http://central:7400", declared: Set(World.regionNames)),
        restoring: records)
    }
    var number = 0
    for (region, count) in zip(Self.regionNames, devicesPerRegion) {
      regions[region] = Host { records in
        RegionMachine(
          id: region, above: .central, configuration: CoordinatorConfiguration(data: "http://\(region):7410"), restoring: records)
      }
      for _ in 0..<count {
        number += 1
        devices[.pi(number)] = Device(id: .pi(number), region: region)
      }
    }
  }

  /// Connects everybody, each at its own moment.
  func start() {
    for (index, endpoint) in endpoints.enumerated() { after(Int64(index * 7)) { self.connect(endpoint) } }
    run(seconds: 0.2)
  }

  var endpoints: [Endpoint] {
    [.central] + Self.regionNames.flatMap { [.above($0), .below($0)] } + devices.keys.sorted().map { .device($0) }
  }

  // MARK: Time

  func after(_ milliseconds: Int64, _ action: @escaping () -> Void) {
    order += 1
    let entry = (time: time + max(0, milliseconds), order: order, action: action)
    // Latest first: the next one is at the end.
    var (low, high) = (0, queue.count)
    while low < high {
      let middle = (low + high) / 2
      if (queue[middle].time, queue[middle].order) > (entry.time, entry.order) { low = middle + 1 } else { high = middle }
    }
    queue.insert(entry, at: low)
  }

  /// Runs until the condition holds; false when the time is up before.
  @discardableResult
  func run(seconds: Double, until condition: () -> Bool = { false }) -> Bool {
    let end = time + Int64(seconds * 1000)
    while !condition() {
      guard let next = queue.last, next.time <= end else {
        time = max(time, end)
        return condition()
      }
      queue.removeLast()
      if next.time > time { idleTicks = 0 }
      time = next.time
      next.action()
    }
    return true
  }

  /// Wakes the machine at its next deadline, and insists that waking it leads somewhere.
  func arm<M>(_ host: Host<M>, _ wake: @escaping () -> Void) {
    host.timer += 1
    let (timer, life) = (host.timer, host.life)
    guard host.isUp, let deadline = host.machine.nextDeadline else { return }
    after(deadline.milliseconds - host.now(time).milliseconds) {
      guard host.timer == timer, host.life == life, host.isUp else { return }
      self.idleTicks += 1
      #expect(self.idleTicks < 100, "a busy loop: waking the machine at its deadline changes nothing")
      if self.idleTicks < 100 { wake() }
    }
  }

  func progressed<M>(_ host: Host<M>, _ event: String) {
    guard let deadline = host.machine.nextDeadline, event == "tick" else { return }
    #expect(deadline > host.now(time), "the next deadline is not later than the tick that was to serve it")
  }

  // MARK: Looking

  func coordinatorTask(_ task: TaskID) -> TaskRun? { central.machine.tasks[task] }
  func step(_ task: TaskID) -> RoundState.Step? { central.machine.roundState(task)?.step }
  func why(_ task: TaskID) -> String { central.machine.explanation(task)?.sentence ?? "there is no task \(task)" }

  func push(_ task: TaskID, _ specification: TaskSpecification) { tell(.accept(task, specification)) }

  /// Runs until the task ended.
  func finish(_ task: TaskID, within seconds: Double = 600) -> Bool {
    run(seconds: seconds) { self.central.isUp && self.step(task)?.isFinal == true }
  }

  func nextReply(_ answer: @escaping (Coordinator.Answer) -> Void) -> Coordinator.Reply {
    replyNumber += 1
    replies[replyNumber] = answer
    return Coordinator.Reply(replyNumber)
  }

  func note(_ line: @autoclosure () -> String) { if keepsTrace { trace.append("\(time) \(line())") } }
}
