internal import MusterCoordination
internal import MusterParticipation
internal import MusterSchema

/// The device's ``JobQueue``, and the driver's state of the running step.
struct DeviceSteps {
  var queue = JobQueue()
  /// The number of the running step, so that what an earlier step started has no effect.
  var number = 0
  /// Ends the pause of the current step, because the other side may be back.
  var hurry: (() -> Void)?

  mutating func removeAll() {
    queue = JobQueue()
    hurry = nil
  }
}

// The device's worker, which trains, uploads and asks.
extension DeviceProcess {
  /// A running step, with its number.
  struct Running {
    let job: Job
    let number: Int
  }

  func place(_ kind: JobQueue.Kind, _ job: Job) {
    switch steps.queue.place(JobQueue.Step(kind, job)) {
    case .hurries:
      let hurry = steps.hurry
      steps.hurry = nil
      hurry?()
    case .waits:
      world.auditor.bound(steps.queue.count, 13, "the steps of \(name)")
      startNext()
    }
  }

  /// - Returns: whether a step of the job was running.
  func cancel(_ task: TaskID, _ key: RoundKey) -> Bool {
    let isUnderWay = steps.queue.cancel(task, key)
    if isUnderWay, let job = steps.queue.current?.job { end(Running(job: job, number: steps.number)) }
    return isUnderWay
  }

  private func startNext() {
    guard isUp, let next = steps.queue.take() else { return }
    steps.number += 1
    steps.hurry = nil
    let step = Running(job: next.job, number: steps.number)
    // Not in the same step as the placement.
    world.after(0) { [self] _ in
      guard isCurrent(step) else { return }
      switch next.kind {
      case .train: fetch(step, attempt: 1, until: world.time + Int64(min(max(step.job.invitation.secondsLeft, 1), 86_400) * 1000))
      case .upload: upload(step, attempt: 1)
      case .ask: ask(step, attempt: 1)
      }
    }
  }

  private func isCurrent(_ step: Running) -> Bool { isUp && steps.queue.current != nil && steps.number == step.number }

  private func end(_ step: Running) {
    guard steps.queue.current != nil, steps.number == step.number else { return }
    steps.queue.end()
    steps.hurry = nil
    let job = step.job
    if let current = machine.jobs[job.task], current.isSameWork(as: job.key) {
      world.auditor.check(
        current.stage != .uploading || disk.isFailing || steps.queue.holds(.upload, job.task, job.key),
        "\(name) must deliver a result of \(job.task), \(job.key), but its job queue has no step for that")
    } else {
      disk.remove(Self.fileName(job.task, job.key))
    }
    let life = life
    world.after(0) { [self] _ in if self.life == life { startNext() } }
  }

  private func end(_ step: Running, _ event: Participant.Event) {
    guard isCurrent(step) else { return }
    receive(event)
    if isUp { end(step) }
  }

  /// Pauses with full jitter, up to half a minute. A connect or the region's return ends the pause early.
  private func pause(_ step: Running, _ attempt: Int, _ again: @escaping () -> Void) {
    var isOver = false
    func go() {
      guard !isOver else { return }
      isOver = true
      if isCurrent(step) { again() }
    }
    steps.hurry = go
    world.after(world.random.within(0...min(30_000, 100 << Int64(min(attempt - 1, 20))))) { _ in go() }
  }

  // MARK: Training

  private func fetch(_ step: Running, attempt: Int, until deadline: Int64) {
    guard let server = world.region(region) else { return }
    func again() {
      guard world.time < deadline else {
        return end(step, .failed(step.job.task, step.job.key, reason: "the coordinator does not answer"))
      }
      pause(step, attempt) { [self] in fetch(step, attempt: attempt + 1, until: deadline) }
    }
    guard machine.coordinatorState?.data != nil else { return again() }
    let digest = step.job.invitation.base.digest
    world.exchange(
      from: site, with: server, serve: { answer in server.fetch(digest, answer) },
      done: { [self] (found: Bool?) in
        guard isCurrent(step) else { return }
        switch found {
        case true: train(step)
        case false:
          world.auditor.misses(digest, step.job)
          end(step, .failed(step.job.task, step.job.key, reason: "the model was not found"))
        case nil: again()
        }
      })
  }

  private func train(_ step: Running) {
    let job = step.job
    started.append(job)
    world.note(.life, name, "trains \(job.task) \(job.key)")
    switch trainer(job) {
    case .finishes(let delay):
      world.after(delay / 2) { [self] _ in
        if isCurrent(step) { receive(.progress(job.task, job.key, fraction: 0.5, loss: 1)) }
      }
      world.after(delay) { [self] _ in
        guard isCurrent(step) else { return }
        let digest = world.digest("\(job.task)/\(job.key.round)/\(job.key.phase)/\(name)/\(started.count)")
        disk.store(Self.fileName(job.task, job.key), digest)
        end(step, .finished(job.task, job.key, JobResult(file: "update.safetensors", digest: digest, bytes: 100)))
      }
    case .fails(let reason, let delay):
      world.after(delay) { [self] _ in end(step, .failed(job.task, job.key, reason: reason)) }
    case .hangs: hangs = true
    }
  }

  // MARK: Delivery

  private func upload(_ step: Running, attempt: Int) {
    let (task, key) = (step.job.task, step.job.key)
    guard let job = machine.jobs[task], job.isSameWork(as: key), let result = job.result else { return end(step) }
    guard disk.results[Self.fileName(task, key)]?.digest == result.digest else {
      return end(step, .failed(task, key, reason: "the result is missing from the device's disk"))
    }
    guard let upload = ownUpload(job, result.digest) else { return }
    if lie == .forges { forge(upload, to: job.invitation.upload) }
    put(upload, to: job.invitation.upload) { [self] answer in
      guard isCurrent(step) else { return }
      switch answer {
      case .said(.stored), .said(.same), .said(.conflict):
        if lie == .uploadsTwice, let other = ownUpload(job, world.digest("\(name) lies about \(task) \(key)")) {
          put(other, to: job.invitation.upload) { _ in }
        }
        end(step, .delivered(task, key))
      case .said(.closed(let reason)): end(step, .refused(task, key, reason: reason))
      case .said(.refused(let reason)): end(step, .failed(task, key, reason: reason))
      case .said(.unknown): end(step, .refused(task, key, reason: "unknown"))
      case .refused(let reason): end(step, .failed(task, key, reason: reason))
      case nil:
        if world.plants(.uploadIsTriedOnce) { return end(step) }
        if attempt == 1 { disk.secure(Self.fileName(task, key)) }
        pause(step, attempt) { [self] in self.upload(step, attempt: attempt + 1) }
      }
    }
  }

  private func ownUpload(_ job: Job, _ digest: Digest) -> Upload? {
    guard let address = UploadAddress(job.invitation.upload), address.task == job.task, address.round == job.key.round else {
      world.auditor.fails("\(job.invitation.upload) is not an upload address of \(job.task), \(job.key)")
      return nil
    }
    let accuracy = lie == .exaggerates ? 1e308 : 0.5
    let contribution = ContributionRecord(path: address.path, digest: digest, weight: 10, bytes: 100, metrics: ["accuracy": accuracy])
    return Upload(address.scope, contribution, ticket: job.invitation.ticket)
  }

  /// - Parameter address: where the ledger is. Path, round and phase are in the upload itself.
  func put(_ upload: Upload, to address: String, _ done: @escaping (UploadAnswer?) -> Void) {
    guard let address = UploadAddress(address) else { return done(nil) }
    let transfer = world.random.within(world.plan.transferTime)
    if let region = world.region(address.host) {
      world.exchange(from: site, with: region, serve: { region.dataPlane.put(upload, transfer: transfer, $0) }, done: done)
    } else {
      let central = world.central
      world.exchange(from: site, with: central, serve: { central.dataPlane.put(upload, transfer: transfer, $0) }, done: done)
    }
  }

  private func ask(_ step: Running, attempt: Int) {
    let (task, key) = (step.job.task, step.job.key)
    guard machine.jobs[task]?.isSameWork(as: key) == true else { return end(step) }
    guard let address = UploadAddress(step.job.invitation.upload) else {
      return end(step, .refused(task, key, reason: "the upload address is not valid"))
    }
    let done: (PhaseLedger??) -> Void = { [self] ledger in
      guard isCurrent(step) else { return }
      switch ledger {
      case .some(let ledger?):
        if ledger.accepted.contains(address.path) { return end(step, .delivered(task, key)) }
        end(step, ledger.open ? .confirmed(task, key) : .refused(task, key, reason: "the round is closed"))
      case .some(.none): end(step, .refused(task, key, reason: "the ledger has no such round"))
      case .none: pause(step, attempt) { [self] in ask(step, attempt: attempt + 1) }
      }
    }
    if let region = world.region(address.host) {
      world.exchange(
        from: site, with: region, serve: { answer in answer(.some(region.dataPlane.ledger(task, key.round, key.phase))) }, done: done)
    } else {
      let central = world.central
      world.exchange(
        from: site, with: central, serve: { answer in answer(.some(central.dataPlane.ledger(task, key.round, key.phase))) }, done: done)
    }
  }
}

/// `http://host:port/v1/tasks/{task}/rounds/{round}/{updates|evaluations}/{path…}`
struct UploadAddress {
  /// `central`, or a region's id.
  var host: NodeID
  var task: TaskID
  var round: Int
  var phase: Phase
  var path: NodePath

  var scope: TicketScope { TicketScope(task: task, round: round, phase: phase, path: path) }

  init?(_ text: String) {
    let parts = text.split(separator: "/")
    guard parts.count > 8, let host = parts[1].split(separator: ":").first.flatMap({ NodeID(rawValue: String($0)) }),
      let task = TaskID(rawValue: String(parts[4])),
      let round = Int(parts[6]), let path = NodePath(parts[8...].compactMap { NodeID(rawValue: String($0)) })
    else { return nil }
    self.host = host
    self.task = task
    self.round = round
    phase = parts[7] == "updates" ? .train : .evaluate
    self.path = path
  }
}
