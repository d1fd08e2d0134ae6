import MusterSchema
import Testing

@testable import MusterCommands

@Suite("The timeline")
struct TimelineTests {
  private let north = NodeID(unchecked: "north")
  private let device = NodeID(unchecked: "pi-1")
  private let task = TaskID(unchecked: "digits-a")

  private func line(_ topic: Topic, _ message: some Message) throws -> String {
    var timeline = Timeline(showsTask: false)
    return timeline.line(topic: topic.description, payload: try MessageCoder.encode(message), clock: "12:03:11")
  }

  @Test("a device at work")
  func training() throws {
    let status = NodeStatus(node: device, task: task, state: .training, round: 3, attempt: 1, phase: .train, progress: 0.4, loss: 0.3119)
    #expect(
      try line(.nodeStatus(coordinator: north, node: device, task: task), status)
        == "12:03:11  north/pi-1    training    round 3  40 %  loss 0.312")
  }

  @Test("an evaluation in progress is not called training")
  func evaluating() throws {
    let status = NodeStatus(node: device, task: task, state: .training, round: 3, attempt: 2, phase: .evaluate, devices: 1)
    #expect(
      try line(.nodeStatus(coordinator: north, node: device, task: task), status)
        == "12:03:11  north/pi-1    evaluating  round 3  attempt 2")
  }

  @Test("a region goes by its own name at central and says how many devices it has")
  func region() throws {
    let status = NodeStatus(
      node: north, task: task, state: .short, round: 1, devices: 3, declined: 1, have: 2, waiting: [Waiting(node: "pi-4", reason: "busy")])
    #expect(
      try line(.nodeStatus(coordinator: .central, node: north, task: task), status)
        == "12:03:11  north         short       round 1  2 working or done  3 devices  1 declined  pi-4: busy")
  }

  @Test("a decline says why, and when to ask again")
  func declined() throws {
    let status = NodeStatus(node: device, task: task, state: .declined, reason: "load 3.1, at most 2", retrySeconds: 30)
    #expect(
      try line(.nodeStatus(coordinator: north, node: device, task: task), status)
        == "12:03:11  north/pi-1    declined    load 3.1, at most 2  retries in 30 s")
  }

  @Test("an invitation shows neither ticket nor grant")
  func invitation() throws {
    let grant = Grant(secret: [1], task: task)
    let ticket = grant.ticket(task: task, round: 3, phase: .train)
    let invitation = Invitation(
      task: task, revision: 1, key: RoundKey(round: 3, phase: .train, attempt: 1), quota: 4, minimum: 3,
      base: ModelReference(digest: Digest(of: [1]), bytes: 79_800), upload: "http://127.0.0.1/", ticket: ticket, grant: grant, seed: 7,
      secondsLeft: 60, startWithin: 0)
    let shown = try line(.invitation(coordinator: .central, node: north, task: task), invitation)
    #expect(shown == "12:03:11  north         invited     round 3  to train  4 devices, at least 3  within 60 s  model 4bf5122f, 77.9 KiB")
    let raw = Masking.text(try MessageCoder.encode(invitation))
    #expect(!raw.contains(ticket.text) && !raw.contains(grant.hexadecimal))
    #expect(raw.contains("\"ticket\":\"•••\"") && raw.contains("\"grant\":\"•••\""))
  }

  @Test(
    "secrets are masked in broken payloads, too",
    arguments: [
      (#"{"ticket" : "abc","x":1}"#, #"{"ticket":"•••","x":1}"#), (#"{"grant":"a\"secret","x":1"#, #"{"grant":"•••","x":1"#),
      (#"{"ticket":"unfinished"#, #"{"ticket":"•••""#), (#"{"ticket":123}"#, #"{"ticket":"•••"}"#),
      (#"{"x":"ticket"}"#, #"{"x":"ticket"}"#),
    ])
  func masking(payload: String, expected: String) {
    #expect(Masking.text(Array(payload.utf8)) == expected)
  }

  @Test("presence and rounds")
  func presence() throws {
    let state = NodeState(
      node: device, online: true, session: "s", labels: ["site": "lab", "arch": "arm64"], resources: Resources(cores: 1, load: 0.5))
    #expect(
      try line(.nodeState(coordinator: north, node: device), state)
        == "12:03:11  north/pi-1    online      arch=arm64,site=lab  1 core  load 0.50")
    let round = RoundState(
      task: task, step: .training, round: 3, rounds: 10, attempt: 1, counts: [:], needed: 8, have: 6, closesInSeconds: 40,
      why: "waits for pi-1", waiting: [], more: 0, metrics: ["accuracy": 0.9])
    #expect(
      try line(.round(coordinator: .central, task: task), round)
        == "12:03:11  central       training    round 3/10  6/8  accuracy 0.9000  waits for pi-1")
  }

  @Test("with several tasks, each line names its own")
  func taskColumn() throws {
    var timeline = Timeline(showsTask: true)
    let status = NodeStatus(node: device, task: task, state: .done, round: 3)
    let topic = Topic.nodeStatus(coordinator: north, node: device, task: task).description
    let text = timeline.line(topic: topic, payload: try MessageCoder.encode(status), clock: "12:03:11")
    #expect(text == "12:03:11  north/pi-1    digits-a              done        round 3")
  }

  @Test("garbage, foreign topics and cleared topics are lines, too, and move no cursor")
  func garbage() {
    var timeline = Timeline(showsTask: false)
    func line(_ topic: String, _ payload: String) -> String { timeline.line(topic: topic, payload: Array(payload.utf8), clock: "-") }
    #expect(line("muster/v1/north/state", "\u{1B}[2J{").contains("invalid"))
    #expect(!line("muster/v1/north/state", #"{"kind":"\u001b[2J"}"#).contains("\u{1B}"))
    #expect(line("muster/v2/north/state", "{}").contains("update this program"))
    #expect(line("muster/v1/north/nodes/pi-1/tasks/digits-a", "") == "-  north/pi-1    cleared     its status")
  }

  @Test("a message as JSON keeps its structure, and broken ones their text")
  func json() {
    let whole = TopicTail.Message(topic: "muster/v1/a/state", payload: Array(#"{"kind":"x"}"#.utf8), isKept: true)
    #expect(TailLine.json(whole, time: 5) == #"{"time":5,"kept":true,"topic":"muster/v1/a/state","message":{"kind":"x"}}"#)
    let broken = TopicTail.Message(topic: "t", payload: Array(#"{"kind""#.utf8), isKept: false)
    #expect(TailLine.json(broken, time: 5) == #"{"time":5,"kept":false,"topic":"t","payload":"{\"kind\""}"#)
  }

  @Test(
    "a broker's address has a scheme, a host and a port",
    arguments: [
      ("mqtt://127.0.0.1:1884", "mqtt://127.0.0.1:1884"), ("mqtt://hub", "mqtt://hub:1883"), ("mqtts://hub/", "mqtts://hub:8883"),
      ("mqtt://[::1]:1884", "mqtt://[::1]:1884"), ("mqtt://::1", "mqtt://[::1]:1883"),
      ("mqtts://[2001:DB8::5]/", "mqtts://[2001:db8::5]:8883"),
    ])
  func address(text: String, expected: String) throws {
    #expect(try TopicTail.Address(parsing: text).description == expected)
  }

  @Test(
    "what is no broker's address is a mistake of the command line",
    arguments: [
      "hub:1883", "http://hub", "mqtt://", "mqtt://:1", "mqtt://h:0", "mqtt://[::1", "mqtt://a b", "mqtt://u@h", "mqtt://256.1.1.1",
    ])
  func noAddress(text: String) {
    #expect { try TopicTail.Address(parsing: text) } throws: { ($0 as? CommandError)?.exit == .usage }
  }
}
