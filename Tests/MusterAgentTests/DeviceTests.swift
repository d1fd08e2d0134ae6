import MusterCoordination
import MusterGround
import MusterMQTT
import MusterSchema
import MusterTensors
import Synchronization
import TestSupport
import Testing

@testable import MusterAgent

@Suite(.timeLimit(.minutes(1))) struct DeviceTests {
  @Test("An invited device trains, uploads the parameters behind its own header, and leaves nothing behind")
  func trains() async throws {
    try await Device.with(answering: .always(201)) { device in
      try await device.withAgent {
        try await device.prepare()
        try device.invite()
        #expect(try await eventually { device.states.last == .done })
        let upload = try #require(device.uploads().first)
        #expect(upload.headers["authorization"] == "Bearer secret-ticket")
        #expect(upload.headers["content-digest"] == Digest(of: upload.body).contentDigest)
        let header = try SafetensorsHeader(parsing: upload.body)
        #expect(header.metadata["muster.weight"] == "7.0")
        #expect(header.metadata["muster.base"] == "\(Digest(of: device.base))")
        #expect(header.metadata["muster.content"] == "parameters")
        #expect(header.metadata["muster.metrics"] == #"{"initialLoss":2,"loss":0.25}"#)
        #expect(upload.body.count == header.fileByteCount)
        #expect(device.states.contains(.accepted) && device.states.contains(.uploading))
        #expect(try await eventually { Files.names(in: device.folder.file("state/jobs")).isEmpty })
        // A repeated invitation is answered without training again.
        try device.invite()
        #expect(try await eventually { device.states.filter { $0 == .done }.count == 2 })
        #expect(device.uploads().count == 1)
      }
      #expect(try await eventually { device.node?.online == false })
    }
  }

  @Test("An evaluation goes up as JSON, and the model is fetched once for both phases")
  func evaluates() async throws {
    try await Device.with(answering: .always(200)) { device in
      try await device.withAgent {
        try await device.prepare()
        try device.invite()
        #expect(try await eventually { device.states.last == .done })
        try device.invite(phase: .evaluate)
        #expect(try await eventually { device.statuses.last?.phase == .evaluate && device.states.last == .done })
        let upload = try #require(device.uploads("evaluations").first)
        let evaluation = try JSON.decode(Evaluation.self, from: upload.body)
        #expect(evaluation == Evaluation(base: Digest(of: device.base), weight: 7, metrics: ["loss": 0.25]))
        #expect(device.server.requests.filter { $0.path.contains("/blobs/") }.count == 1)
      }
    }
  }

  @Test("An upload is repeated while the server is busy, and a closed round ends it", arguments: [(201, true), (409, true), (410, false)])
  func repeats(last: Int, isDone: Bool) async throws {
    let count = Mutex(0)
    let answers = Answers { request in
      guard request.method == "PUT" else { return .init(status: 404) }
      let number = count.withLock { count in
        count += 1
        return count
      }
      return number < 4 ? .init(status: [503, 429, 500][number - 1]) : .init(status: last)
    }
    try await Device.with(answering: answers) { device in
      try await device.withAgent {
        try await device.prepare()
        try device.invite()
        #expect(try await eventually { device.uploads().count == 4 })
        #expect(try await eventually { Files.names(in: device.folder.file("state/jobs")).isEmpty })
        if isDone { #expect(try await eventually { device.states.last == .done }) }
        #expect(device.states.contains(.done) == isDone)
      }
    }
  }

  @Test("What the server refuses for good is a failure with the server's reason")
  func refused() async throws {
    let problem = Problem(status: 422, title: "refused", detail: "wrong shapes")
    let body = try JSON.encode(problem)
    try await Device.with(answering: .always(422, body)) { device in
      try await device.withAgent {
        try await device.prepare()
        try device.invite()
        #expect(try await eventually { device.states.contains(.failed) })
        let failure = try #require(device.statuses.first { $0.state == .failed })
        #expect(failure.reason == "refused: wrong shapes")
        #expect(Files.names(in: device.folder.file("state/failed")) == ["digits.1.train"])
      }
    }
  }

  @Test("A cancelled task ends its trainer within a second and leaves no folder")
  func cancels() async throws {
    let script = "echo $$ > \"$1/../../../pid\"\nsleep 60 & echo $! >> \"$1/../../../pid\"\nwait"
    try await Device.with(trainer: script, answering: .always(201)) { device in
      try await device.withAgent {
        try await device.prepare()
        try device.invite()
        let file = device.folder.file("pid")
        #expect(try await eventually { processes(file).count == 2 })
        let started = ContinuousClock.now
        try device.describe(revision: 2, state: .cancelled)
        #expect(try await eventually { processes(file).allSatisfy { !isAlive($0) } })
        #expect(started.duration(to: .now) < .seconds(1.5))
        #expect(try await eventually { Files.names(in: device.folder.file("state/jobs")).isEmpty })
      }
    }
  }

  @Test("A trainer that fails is not asked again at once, and its folder is kept with a log")
  func failures() async throws {
    try await Device.with(trainer: "echo something broke >&2\nexit 1", answering: .always(201)) { device in
      try await device.withAgent {
        try await device.prepare()
        try device.invite()
        #expect(try await eventually { device.states.contains(.failed) })
        let failure = try #require(device.statuses.first { $0.state == .failed })
        #expect(failure.reason == "trainer failed with exit status 1: something broke")
        let log = try Files.read(device.folder.file("state/failed/digits.1.train/trainer.log"), atMost: 4096)
        #expect(String(decoding: log, as: UTF8.self).contains("something broke"))
        // After a failure, the next invitation is declined with the time after which the device may be asked again.
        try device.invite(round: 2)
        #expect(try await eventually { device.statuses.contains { $0.state == .declined && $0.round == 2 } })
        let declined = try #require(device.statuses.first { $0.state == .declined && $0.round == 2 })
        #expect(declined.reason == "failed a moment ago and will be retried: trainer failed with exit status 1: something broke")
      }
    }
  }

  @Test("A trainer that writes into the model fails its round, and the model is fetched anew")
  func spoiledModel() async throws {
    let script = """
      [ -e "$1/../../../once" ] || { touch "$1/../../../once"; chmod u+w "$1/global.safetensors"; printf x >> "$1/global.safetensors"; }
      """
    try await Device.with(trainer: "\(Device.copying)\n\(script)", answering: .always(201)) { device in
      try await device.withAgent {
        try await device.prepare()
        try device.invite()
        #expect(try await eventually { device.states.contains(.failed) })
        let failure = try #require(device.statuses.first { $0.state == .failed })
        #expect(failure.reason == "trainer wrote to global.safetensors, which is shared with the agent and must only be read")
      }
      #expect(try await eventually { device.node?.online == false })
      let fetched = device.server.requests.count { $0.path.hasPrefix("/v1/blobs/") }
      try await device.withAgent {
        try device.invite(round: 2)
        #expect(try await eventually { device.states.last == .done })
        #expect(device.server.requests.count { $0.path.hasPrefix("/v1/blobs/") } == fetched + 1)
        let body = try #require(device.uploads().first?.body)
        #expect(try SafetensorsHeader(parsing: body).dataByteCount == SafetensorsHeader(parsing: device.base).dataByteCount)
      }
    }
  }

  @Test(
    "A stopped agent asks after its job when it is back, and goes on",
    arguments: [("open", .done, 1), ("accepted", .done, 0), ("closed", .ready, 0), ("gone", .ready, 0)] as [(String, NodeStatus.State, Int)]
  )
  func restarts(ledger: String, expected: NodeStatus.State, uploads: Int) async throws {
    let script = "[ -e \"$1/../../../go\" ] || { touch \"$1/../../../begun\"; sleep 60; }\n" + Device.copying
    let answers = Answers { request in
      if request.method == "PUT" { return .init(status: 201) }
      if request.path == "/v1/descriptors" || ledger == "gone" { return .init(status: 404) }
      let accepted = ledger == "accepted" ? "\"north/pi-1\"" : ""
      let text = #"{"task":"digits","round":1,"phase":"train","open":\#(ledger == "open"),"accepted":[\#(accepted)]}"#
      return .init(status: 200, body: Array(text.utf8))
    }
    try await Device.with(trainer: script, answering: answers) { device in
      try await device.withAgent {
        try await device.prepare()
        try device.invite()
        #expect(try await eventually { Files.exists(device.folder.file("begun")) })
      }
      #expect(try await eventually { device.node?.online == false })
      try device.folder.write("", to: "go")
      try await device.withAgent { () async throws in
        #expect(try await eventually { device.server.requests.contains { $0.path == "/v1/tasks/digits/rounds/1/updates" } })
        #expect(try await eventually { device.states.last == expected && device.uploads().count == uploads })
        #expect(try await eventually { Files.names(in: device.folder.file("state/jobs")).isEmpty })
      }
    }
  }

  @Test("A device declines what its owner or its configuration does not allow, and says why")
  func declines() async throws {
    try await Device.with(policy: #"{"uploadHosts":["hub.example"]}"#, answering: .always(201)) { device in
      try await device.withAgent {
        try device.announce()
        try device.describe()
        #expect(try await eventually { device.states.last == .declined })
        #expect(device.statuses.last?.reason == "the device's owner does not allow uploads to 127.0.0.1")
        try device.describe(revision: 2, trainer: "other")
        #expect(try await eventually { device.statuses.count > 1 || device.states.last == .declined })
        try device.invite()
        #expect(try await eventually { device.statuses.last?.round == 1 })
        #expect(device.states.last == .declined)
      }
    }
  }

  @Test("Of several trainers a device takes the first that it has, and says which")
  func severalTrainers() async throws {
    try await Device.with(answering: .always(201)) { device in
      try await device.withAgent {
        try device.announce()
        try device.describe(trainer: TrainerSelection(any: ["pytorch", "built-in"]))
        #expect(try await eventually { device.states.last == .ready })
        #expect(device.statuses.last?.trainer == "built-in")
        try device.invite()
        #expect(try await eventually { device.states.last == .done })
        let body = try #require(device.uploads().first?.body)
        #expect(try SafetensorsHeader(parsing: body).metadata["muster.trainer"] == "built-in")
      }
    }
  }

  @Test("Progress is said once a second at most, and what lasts is said at once")
  func progress() async throws {
    let script = """
      for i in 1 2 3 4 5 6; do echo '{"progress":0.'$i'}'; sleep 0.06; done
      """
    try await Device.with(trainer: "\(script)\n\(Device.copying)", answering: .always(201)) { device in
      try await device.withAgent {
        try await device.prepare()
        try device.invite()
        #expect(try await eventually { device.states.last == .done })
        #expect(device.states.filter { $0 == .training }.count <= 2)
      }
    }
  }

  @Test("What a trainer of an agent that was killed still writes is nobody's result")
  func orphans() async throws {
    try await Device.with(answering: .always(201)) { device in
      let stale = device.folder.file("state/jobs/digits.1.train.old")
      try Files.makeFolder(stale)
      try Files.replace("\(stale)/metrics.json", with: Array("{}".utf8), durable: false)
      try await device.withAgent {
        #expect(Files.names(in: device.folder.file("state/jobs")).isEmpty)
        try await device.prepare()
      }
    }
  }

  @Test("Garbage on every topic is dropped, and the device goes on")
  func garbage() async throws {
    try await Device.with(answering: .always(201)) { device in
      try await device.withAgent {
        let topics = [
          "state", "tasks/digits", "nodes/pi-1/state", "nodes/pi-1/invitations/digits", "tasks/UPPER", "nodes/pi-1/invitations/x",
        ]
        let payloads = ["{", "{\"kind\":\"task\"}", "null", "\u{0}", String(repeating: "x", count: 5000), "{\"kind\":\"unheard-of\"}"]
        for topic in topics {
          for payload in payloads {
            device.region.publish(topic: "muster/v1/north/\(topic)", payload: Array(payload.utf8), quality: .atLeastOnce)
          }
        }
        try await device.prepare()
        try device.invite()
        #expect(try await eventually { device.states.last == .done })
      }
    }
  }

  @Test("A second device with the same identity makes the agent step back, a late Will makes it say its birth again")
  func identity() async throws {
    try await Device.with(answering: .always(201)) { device in
      try await device.withAgent {
        let topic = Topic.nodeState(coordinator: Device.region, node: Device.id)
        let session = device.node?.session
        try device.say(topic, NodeState(node: Device.id, online: false, session: "old"), retained: true)
        #expect(try await eventually { device.node?.online == true && device.node?.session == session })
        try device.say(topic, NodeState(node: Device.id, online: true, session: "stranger"), retained: true)
        // The agent drops its connection without a DISCONNECT, so that the broker publishes its Will.
        #expect(try await eventually { device.node?.online == false && device.node?.session == session })
      }
    }
  }

  @Test("Two agents cannot share a state folder")
  func lock() async throws {
    try await Device.with(answering: .always(201)) { device in
      try await device.withAgent {
        await #expect(throws: AgentError.self) { try await Agent(try device.configuration, logger: Device.quiet).run() }
      }
    }
  }

  private func processes(_ file: String) -> [Int32] {
    do {
      return String(decoding: try Files.read(file, atMost: 100), as: UTF8.self).split(separator: "\n").compactMap { Int32($0) }
    } catch {
      return []
    }
  }

  private func isAlive(_ process: Int32) -> Bool {
    do {
      // A zombie is dead, although its parent has not reaped it yet.
      let status = String(decoding: try Files.read("/proc/\(process)/stat", atMost: 4096), as: UTF8.self)
      return !status.contains(") Z ")
    } catch {
      return false
    }
  }
}
