import MusterSchema
import Testing

@testable import MusterParticipation

private func descriptor(_ task: TaskID = .digits, revision: Int = 1, state: TaskDescriptor.State = .open) -> TaskDescriptor {
  TaskDescriptor(task: task, specification: specification(), revision: revision, state: state, central: "http://central:7400")
}

private func invitation(
  _ task: TaskID = .digits, round: Int = 1, phase: Phase = .train, attempt: Int = 1, startWithin: Double = 0, quota: Int = 1
) -> Invitation {
  Invitation(
    task: task, revision: 1, key: RoundKey(round: round, phase: phase, attempt: attempt), quota: quota, minimum: 1,
    base: ModelReference(digest: Digest(of: "base"), bytes: 10), upload: "http://central:7400/v1/x", seed: 5, secondsLeft: 60,
    startWithin: startWithin)
}

private let result = JobResult(file: "update.safetensors", digest: Digest(of: "update"), bytes: 10)

extension Participant {
  /// The effects of an event, in words short enough for a table.
  fileprivate mutating func tell(_ event: Event, at seconds: Double = 0) -> [String] {
    handle(event, at: Instant.zero.advanced(bySeconds: seconds)).effects.map { effect in
      switch effect {
      case .status(let status, _): "\(status.state.rawValue)\(status.key.map { " \($0.round).\($0.phase).\($0.attempt)" } ?? "")"
      case .start(let job): "start \(job.task) \(job.key.round)"
      case .cancel(let task, let key, _): "cancel \(task) \(key.round)"
      case .upload(let job): "upload \(job.key.round)"
      case .ask(let job): "ask \(job.key.round)"
      case .descriptor(let descriptor): "descriptor \(descriptor.revision)"
      case .announce: "announce"
      case .check(let task): "check \(task)"
      }
    }
  }

  fileprivate static func ready(_ tasks: TaskID...) -> Participant {
    var device = Participant(id: .pi(1), coordinator: .north, capacity: 1)
    for task in tasks {
      _ = device.tell(.descriptor(descriptor(task)))
      _ = device.tell(.readiness(task, .ready))
    }
    return device
  }
}

@Suite("A participant, event by event")
struct ParticipantTests {
  @Test("descriptor, readiness, invitation, training, upload, done")
  func oneJob() {
    var device = Participant(id: .pi(1), coordinator: .north, capacity: 1)
    #expect(device.tell(.invitation(invitation())) == [], "without its descriptor an invitation says too little")
    #expect(device.tell(.descriptor(descriptor())) == ["descriptor 1", "check digits"])
    #expect(device.tell(.descriptor(descriptor())) == [], "the same again")
    #expect(device.tell(.readiness(.digits, .ready)) == ["ready"])
    #expect(device.tell(.readiness(.digits, .ready)) == [], "no news")
    let (records, _) = device.handle(.invitation(invitation()), at: .zero)
    #expect(records == [.taken(invitation())])
    #expect(device.tell(.invitation(invitation())) == ["accepted 1.train.1"], "asked again: said again, not started again")
    let key = RoundKey(round: 1, phase: .train, attempt: 1)
    #expect(device.tell(.progress(.digits, key, fraction: 0.5, loss: .nan)) == ["training 1.train.1"])
    #expect(device.handle(.finished(.digits, key, result), at: .zero).records == [.ready(.digits, key, result)])
    #expect(device.tell(.connected) == ["upload 1", "uploading 1.train.1"])
    #expect(device.handle(.delivered(.digits, key), at: .zero).records == [.delivered(.digits, key)])
    #expect(device.tell(.delivered(.digits, key)) == [], "twice")
    #expect(device.tell(.invitation(invitation())) == ["done 1.train.1"])
    #expect(device.tell(.invitation(invitation(attempt: 2))) == ["done 1.train.1"], "a further attempt does not want it again")
    #expect(device.tell(.readiness(.digits, .ready)) == [], "done already says that it could go on")
    #expect(device.tell(.invitation(invitation(phase: .evaluate))).first == "accepted 1.evaluate.1")
  }

  @Test(
    "revisions grow, what is final absorbs",
    arguments: [
      (2, 1, TaskDescriptor.State.paused, false), (1, 2, .paused, true), (2, 2, .paused, true), (1, 2, .closed, true),
    ])
  func revisions(known: Int, next: Int, state: TaskDescriptor.State, taken: Bool) {
    var device = Participant(id: .pi(1), coordinator: .north, capacity: 1)
    _ = device.tell(.descriptor(descriptor(revision: known)))
    _ = device.tell(.descriptor(descriptor(revision: next, state: state)))
    #expect((device.tasks[.digits]?.state == state) == taken)
    _ = device.tell(.descriptor(descriptor(revision: 99)))
    #expect((device.tasks[.digits]?.revision == 99) != (taken && state.isFinal))
  }

  @Test("one job at a time: busy for others, and theirs when it is over")
  func busy() {
    var device = Participant.ready(.digits, .other)
    #expect(device.tell(.invitation(invitation())) == ["accepted 1.train.1", "start digits 1"])
    #expect(device.tell(.invitation(invitation(.other))) == ["declined 1.train.1"])
    #expect(device.tell(.readiness(.other, .ready)) == ["declined"])
    let key = RoundKey(round: 1, phase: .train, attempt: 1)
    #expect(device.tell(.refused(.digits, key, reason: "closed")).contains("check other"))
    #expect(device.tell(.readiness(.other, .ready)) == ["ready"])
    #expect(device.tell(.invitation(invitation(.other))).last == "start other 1")
    #expect(device.tell(.descriptor(descriptor(.other, revision: 2, state: .cancelled))) == ["descriptor 2", "cancel other 1"])
    #expect(device.jobs.isEmpty)
  }

  @Test("a newer round supersedes, an older one is not taken any more")
  func superseded() {
    var device = Participant.ready(.digits)
    _ = device.tell(.invitation(invitation(round: 2)))
    #expect(device.tell(.invitation(invitation(round: 1))) == [])
    #expect(device.tell(.invitation(invitation(round: 3))) == ["cancel digits 2", "accepted 3.train.1", "start digits 3"])
    let old = RoundKey(round: 2, phase: .train, attempt: 1)
    #expect(device.tell(.finished(.digits, old, result)) == [] && device.tell(.failed(.digits, old, reason: "x")) == [])
    #expect(device.tell(.progress(.digits, old, fraction: 1, loss: nil)) == [])
  }

  @Test("a spread start waits for its moment, the same one each time")
  func spread() throws {
    var device = Participant.ready(.digits)
    #expect(device.tell(.invitation(invitation(startWithin: 10))) == ["accepted 1.train.1"])
    let start = try #require(device.nextDeadline)
    #expect(start == Instant.zero.advanced(bySeconds: 10 * Seeds.fraction(5, "pi-1")) && start > .zero)
    #expect(device.tell(.tick, at: start.seconds(since: .zero) - 0.01) == [])
    #expect(device.tell(.tick, at: start.seconds(since: .zero)) == ["start digits 1"])
    #expect(device.nextDeadline == nil)
  }

  @Test("a failure is retried after a while, three alike set the task aside until it is revised")
  func failures() throws {
    var device = Participant.ready(.digits)
    for (attempt, wait) in [(1, 5.0), (2, 10)] {
      let time = Double(attempt) * 100
      #expect(device.tell(.invitation(invitation(attempt: attempt)), at: time).last == "start digits 1")
      let key = RoundKey(round: 1, phase: .train, attempt: attempt)
      #expect(device.tell(.failed(.digits, key, reason: "no data"), at: time) == ["failed 1.train.\(attempt)"])
      #expect(device.tell(.invitation(invitation(attempt: attempt)), at: time).first == "failed 1.train.\(attempt)", "the same attempt")
      #expect(device.nextDeadline == Instant.zero.advanced(bySeconds: time + wait))
      // A check in between repeats the refusal, and the retry still happens.
      #expect(device.tell(.readiness(.digits, .ready), at: time + 1) == ["declined"])
      #expect(device.tell(.tick, at: time + wait) == ["check digits"])
      #expect(device.tell(.readiness(.digits, .ready), at: time + wait) == ["ready"])
    }
    _ = device.tell(.invitation(invitation(attempt: 3)), at: 300)
    _ = device.tell(.failed(.digits, RoundKey(round: 1, phase: .train, attempt: 3), reason: "no data"), at: 300)
    #expect(device.nextDeadline == nil)
    #expect(device.tell(.readiness(.digits, .ready), at: 400) == ["declined"])
    #expect(device.tell(.invitation(invitation(round: 2)), at: 400) == ["declined 2.train.1"])
    _ = device.tell(.descriptor(descriptor(revision: 2)), at: 500)
    #expect(device.tell(.readiness(.digits, .ready), at: 500) == ["ready"])
  }

  @Test("after a restart a job waits for the ledger's word", arguments: [false, true])
  func restart(hasResult: Bool) {
    let key = RoundKey(round: 1, phase: .train, attempt: 1)
    var records: [(at: Instant, record: Participant.Record)] = [(.zero, .taken(invitation()))]
    if hasResult { records.append((.zero, .ready(.digits, key, result))) }
    var device = Participant(id: .pi(1), coordinator: .north, capacity: 1, restoring: records)
    #expect(device.tell(.connected) == ["ask 1"])
    #expect(device.tell(.descriptor(descriptor())) == ["descriptor 1", "check digits"])
    #expect(device.tell(.readiness(.digits, .ready)) == [], "it has a job, whatever becomes of it")
    var other = device
    #expect(
      device.tell(.confirmed(.digits, key))
        == (hasResult ? ["upload 1", "uploading 1.train.1"] : ["accepted 1.train.1", "start digits 1"]))
    #expect(other.tell(.refused(.digits, key, reason: "closed")) == ["cancel digits 1", "check digits"])
  }

  @Test("after a restart a job that is still wanted begins once its descriptor is there, too")
  func restartWithoutDescriptor() {
    let key = RoundKey(round: 1, phase: .train, attempt: 1)
    var device = Participant(id: .pi(1), coordinator: .north, capacity: 1, restoring: [(.zero, .taken(invitation()))])
    #expect(device.tell(.connected) == ["ask 1"])
    #expect(device.tell(.confirmed(.digits, key)) == ["accepted 1.train.1"])
    #expect(device.nextDeadline == nil)
    #expect(device.tell(.descriptor(descriptor())) == ["descriptor 1", "start digits 1", "check digits"])
  }

  @Test("after a restart what was delivered or given up is answered, not done again")
  func restartBehind() {
    let key = RoundKey(round: 1, phase: .train, attempt: 1)
    for (record, answer) in [(Participant.Record.delivered(.digits, key), "done"), (.dropped(.digits, key), "declined")] {
      var device = Participant(id: .pi(1), coordinator: .north, capacity: 1, restoring: [(.zero, record)])
      _ = device.tell(.descriptor(descriptor()))
      _ = device.tell(.readiness(.digits, .ready))
      #expect(device.tell(.invitation(invitation())).first == "\(answer) 1.train.1")
    }
  }

  @Test("a coordinator's new session hears everything again; its foreign Will changes nothing")
  func sessions() {
    var device = Participant.ready(.digits)
    #expect(device.tell(.coordinator(CoordinatorState(coordinator: .north, online: true, session: "1"))) == ["ready"])
    #expect(device.tell(.coordinator(CoordinatorState(coordinator: .north, online: true, session: "1"))) == [])
    #expect(device.tell(.coordinator(CoordinatorState(coordinator: .north, online: false, session: "0"))) == [])
    #expect(device.coordinatorState?.online == true)
    #expect(device.tell(.coordinator(CoordinatorState(coordinator: .north, online: true, session: "2"))) == ["announce", "ready"])
    // A coordinator that has restarted publishes its descriptors again.
    var again = descriptor()
    again.secondsLeft = 5
    #expect(device.tell(.descriptor(again)).last == "ready")
  }

  @Test("a task that nobody knows any more is forgotten, and others have the device")
  func forgotten() {
    var device = Participant.ready(.digits, .other)
    _ = device.tell(.invitation(invitation()))
    _ = device.tell(.readiness(.other, .ready))
    #expect(device.tell(.forget(.digits)) == ["cancel digits 1", "check other"])
    #expect(device.tasks[.digits] == nil && device.jobs.isEmpty)
  }
}
