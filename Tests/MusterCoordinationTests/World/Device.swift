import MusterSchema
import Testing

@testable import MusterCoordination

/// A device: its participant, and a trainer that only takes time.
final class Device {
  enum Outcome {
    case finishes(after: Int64)
    case fails(String, after: Int64)
    case hangs
  }

  let id: NodeID
  let region: NodeID
  let host: Host<Participant>
  var labels: [String: String] = [:]
  var resources = Resources(cores: 4, load: 0.1, memoryMiB: 1000, diskMiB: 1000)
  var trainer: (Job) -> Outcome = { $0.key.phase == .train ? .finishes(after: 2000) : .finishes(after: 500) }
  /// Jobs that the trainer was started for.
  var started: [Job] = []
  /// The run that may report; a cancelled one may not.
  var running: [TaskID: Int] = [:]
  private var runs = 0

  init(id: NodeID, region: NodeID) {
    self.id = id
    self.region = region
    host = Host { Participant(id: id, coordinator: region, capacity: 1, restoring: $0) }
  }

  func birth(online: Bool, session: String) -> NodeState {
    guard online else { return NodeState(node: id, online: false, session: session) }
    return NodeState(
      node: id, online: true, session: session, nodeKind: .device, labels: labels, capabilities: Capabilities(trainers: ["built-in"]),
      resources: resources)
  }

  func begin(_ job: Job) -> Int {
    started.append(job)
    runs += 1
    running[job.task] = runs
    return runs
  }
}

extension World {
  func device(_ number: Int) -> Device {
    guard let device = devices[.pi(number)] else { preconditionFailure("there is no pi-\(number)") }
    return device
  }

  func tell(_ id: NodeID, _ event: Participant.Event, _ label: String = "event") {
    guard let device = devices[id], let (records, effects) = device.host.handle(event, at: time) else {
      if let device = devices[id], !device.host.isUp { kill(device) }
      return
    }
    for record in records { note("\(id) commits \(text(record))") }
    for effect in effects { perform(effect, device) }
    progressed(device.host, label)
    arm(device.host) { self.tell(id, Participant.Event.tick, "tick") }
  }

  private func perform(_ effect: Participant.Effect, _ device: Device) {
    let life = device.host.life
    func later(_ milliseconds: Int64, _ event: @escaping () -> Participant.Event?) {
      after(milliseconds) {
        guard device.host.isUp, device.host.life == life, let event = event() else { return }
        self.tell(device.id, event)
      }
    }
    switch effect {
    case .status(let status, _):
      send(status, .nodeStatus(coordinator: device.region, node: device.id, task: status.task), from: .device(device.id))
    case .start(let job):
      let run = device.begin(job)
      func running(_ event: Participant.Event) -> Participant.Event? { device.running[job.task] == run ? event : nil }
      switch device.trainer(job) {
      case .finishes(let delay):
        later(delay / 2) { running(.progress(job.task, job.key, fraction: 0.5, loss: 1)) }
        let result = JobResult(file: "update.safetensors", digest: Self.digest("\(job.task)/\(job.key.round)/\(device.id)"), bytes: 100)
        later(delay) { running(.finished(job.task, job.key, result)) }
      case .fails(let reason, let delay): later(delay) { running(.failed(job.task, job.key, reason: reason)) }
      case .hangs: break
      }
    case .cancel(let task, _, _): device.running[task] = nil
    case .upload(let job):
      upload(
        job,
        while: { device.host.isUp && device.host.life == life && device.host.machine.jobs[job.task]?.isSameWork(as: job.key) == true },
        report: { self.tell(device.id, $0) })
    case .ask(let job): ask(job) { answer in if device.host.life == life { self.tell(device.id, answer) } }
    case .descriptor: break
    case .check(let task):
      later(1) {
        guard let descriptor = device.host.machine.tasks[task] else { return nil }
        let state = device.birth(online: true, session: "")
        return .readiness(task, Admission.mismatch(descriptor, state).map { .declined($0, retrySeconds: 30) } ?? .ready)
      }
    }
  }

  func kill(_ device: Device) {
    device.host.die()
    device.running = [:]
    disconnect(.device(device.id))
  }

  func revive(_ device: Device) {
    device.host.start(at: time)
    connect(.device(device.id))
    arm(device.host) { self.tell(device.id, Participant.Event.tick, "tick") }
  }

  static func digest(_ text: String) -> Digest { Digest(of: Array(text.utf8)) }

  func text(_ record: some Codable) -> String {
    do { return String(decoding: try JSON.encode(record), as: UTF8.self) } catch { return "\(error)" }
  }
}
