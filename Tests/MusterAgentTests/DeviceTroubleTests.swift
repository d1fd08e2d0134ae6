import FoundationEssentials
import Glibc
import MusterGround
import MusterSchema
import TestSupport
import Testing

@testable import MusterAgent

/// Tests of a device's messages when something around it is wrong.
@Suite(.timeLimit(.minutes(2))) struct DeviceTroubleTests {
  @Test("A trainer that truncates its update after it is done, sooner or later, costs its job, not the agent")
  func truncation() async throws {
    // The script waits a little longer in each round, so that one truncation happens while the agent reads.
    let script = """
      round=0
      while read -r line; do
        job="${line#*:\"}"; job="${job%\"*}"; round=$((round+1))
        cp "$job/global.safetensors" "$job/update.safetensors"
        ln "$job/update.safetensors" "$job/again"
        echo '{"samples":7,"metrics":{"loss":0.25}}' > "$job/metrics.json"
        (sleep 0.00$((round*2)); : > "$job/again") &
        echo "{\"done\":\"$job\",\"exit\":0}"
      done
      """
    let answers = Answers { _ in .init(status: 201, headers: [("Upload-Complete", "?1")]) }
    try await Device.with(trainer: script, resident: true, values: 6_000_000, answering: answers) { device in
      let agent = try await device.process()
      try await device.prepare()
      for round in 1...4 {
        try device.invite(round: round)
        let isOver = try await eventually(within: .seconds(20)) {
          agent.exitStatus != nil || device.statuses.last.map { $0.round == round && [.failed, .done].contains($0.state) } ?? false
        }
        #expect(isOver, "\(device.statuses)")
        #expect(agent.exitStatus == nil, "round \(round): \(agent.log.suffix(2000))")
        // A truncation during the copy makes the job fail, and a device that failed is not asked again at once.
        guard device.states.last == .done else { break }
      }
    }
  }

  @Test("A device whose region is not at its broker says so within ten seconds, and when it is heard after all")
  func noRegion() async throws {
    try await Device.with(answering: .always(201)) { device in
      let log = LogRecorder()
      try await device.withAgent(logger: log.logger) {
        let says = try await eventually(within: .seconds(10)) { !log.lines(with: "no message arrives from the region \"north\"").isEmpty }
        #expect(says, "\(log.lines)")
        #expect(log.lines(with: "does not deliver this device's own state").isEmpty)
        try device.announce()
        let takesBack = try await eventually { !log.lines(with: "messages from the region arrive now").isEmpty }
        #expect(takesBack)
      }
    }
  }

  @Test("A device that the broker's ACL hides everything from says so within ten seconds, with the topics and the user")
  func hidden() async throws {
    var options = BrokerProcess.Options()
    options.users = ["pi-1": "secret"]
    options.accessList = "user pi-1\ntopic write muster/v1/north/nodes/pi-1/state\n"
    let broker = try await BrokerProcess.started(options)
    let folder = try TemporaryFolder()
    let json = """
      {"id":"pi-1","region":"north","state":"\(folder.file("state"))",
       "broker":{"host":"127.0.0.1","port":\(broker.port),"username":"pi-1","password":"secret"}}
      """
    let configuration = try AgentConfiguration.load(
      file: try folder.write(json, to: "agent.json"), flags: [:], environment: [:]
    ).configuration
    let log = LogRecorder()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await Agent(configuration, logger: log.logger).run() }
      let says = try await eventually(within: .seconds(10)) {
        !log.lines(with: "does not deliver this device's own state").isEmpty
          && !log.lines(with: "no message arrives from the region").isEmpty
      }
      #expect(says, "\(log.lines)")
      #expect(log.lines(with: "the user pi-1").count == 2)
      group.cancelAll()
      try await group.waitForAll()
    }
  }

  @Test("What a device does not hear is named: topic, user, and where to look")
  func complaints() throws {
    var listening = Listening(from: .now)
    let (id, region) = (Device.id, Device.region)
    let both = listening.complaints(id: id, region: region, user: "pi-1")
    #expect(both.count == 2)
    #expect(both[0].contains("muster/v1/north/state") && both[0].contains("the user pi-1"))
    #expect(both[1].contains("muster/v1/north/nodes/pi-1/state"))
    listening.hear(own: true)
    #expect(listening.complaints(id: id, region: region, user: nil).map { $0.contains("a client without a user name") } == [true])
    listening.hear(own: false)
    #expect(listening.complaints(id: id, region: region, user: nil) == [])
  }

  @Test("A trainer whose program is not there is named at the start, with its path")
  func missingTrainer() async throws {
    let folder = try TemporaryFolder()
    let broker = try await BrokerProcess.started()
    let json = """
      {"id":"pi-1","region":"north","state":"\(folder.file("state"))","broker":{"host":"127.0.0.1","port":\(broker.port)},
       "trainers":{"good":{"command":["/bin/sh"]},"mine":{"command":["/opt/nowhere/trainer","--resident"]},"bare":{"command":["no-such-program"]}}}
      """
    let file = try folder.write(json, to: "agent.json")
    let log = LogRecorder()
    let configuration = try AgentConfiguration.load(file: file, flags: [:], environment: [:]).configuration
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await Agent(configuration, logger: log.logger).run() }
      let says = try await eventually { log.lines(with: "cannot be started").count == 2 }
      #expect(says, "\(log.lines)")
      #expect(log.lines(with: "\"mine\"").first?.contains("/opt/nowhere/trainer: No such file or directory") == true)
      #expect(log.lines(with: "\"bare\"").first?.contains("no-such-program") == true)
      group.cancelAll()
      try await group.waitForAll()
    }
  }

  @Test("While the model cannot be fetched from where the region says, the device's status has that address as its reason")
  func wrongAddress() async throws {
    try await Device.with(answering: .always(201)) { device in
      try await device.withAgent {
        let nowhere = "http://127.0.0.1:\(try freePort())"
        try await device.prepare(data: nowhere)
        try device.invite()
        let says = try await eventually {
          device.statuses.last.map { $0.state == .accepted && $0.reason?.hasPrefix("cannot fetch the model from \(nowhere): ") == true }
            ?? false
        }
        #expect(says, "\(device.statuses)")
        try device.announce(session: "s2")
        let isDone = try await eventually { device.states.last == .done }
        #expect(isDone, "\(device.statuses)")
        #expect(device.statuses.last?.reason == nil)
      }
    }
  }

  @Test(
    "While a slow disk flushes a result, a thread of its own waits, and the agent goes on hearing and answering",
    .enabled(if: SlowDisk.isPossible, "needs a C compiler"))
  func slowDisk() async throws {
    let disk = try await SlowDisk(bytes: 1 << 20)
    try await Device.with(values: 600_000, answering: .always(201)) { device in
      let agent = try await device.process(environment: disk.environment)
      try await device.prepare()
      try device.invite()
      #expect(try await eventually { disk.isHeld }, "\(agent.log.suffix(2000))")
      // The cooperative pool has as many threads as there are processors, so none of them may wait for a disk.
      #expect(try disk.threads == ["\(BlockingPool.threadName)"])
      let before = device.statuses.count
      try device.describe(revision: 2)
      #expect(try await eventually { device.statuses.count > before }, "\(device.statuses)")
      #expect(disk.isHeld, "the disk is still at it")
      disk.release()
      #expect(agent.exitStatus == nil)
    }
  }
}
