import MusterSchema
import Testing

/// A message and its bytes on the wire. Other programs and other versions read them, so a change here changes the protocol.
private struct Golden<M: Message> {
  var message: M
  var json: String

  func check() throws {
    let bytes = try MessageCoder.encode(message)
    #expect(String(decoding: bytes, as: UTF8.self) == json)
    #expect(try MessageCoder.decode(M.self, from: Array(json.utf8)) == message)
    // Members that a newer version adds are ignored.
    let wider = json.dropLast() + #","zz-unknown":{"a":[1,null]}}"#
    #expect(try MessageCoder.decode(M.self, from: Array(wider.utf8)) == message)
  }
}

private let digest = Digest(of: Array("abc".utf8))
private let hexadecimal = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
private let north = NodeID(unchecked: "north")
private let pi = NodeID(unchecked: "pi-1")
private let digits = TaskID(unchecked: "digits")

@Suite("Messages, byte by byte")
struct GoldenMessageTests {
  @Test("a coordinator's birth and Will")
  func coordinatorState() throws {
    try Golden(
      message: CoordinatorState(
        coordinator: .central, online: true, session: "5f0c", data: "http://10.0.0.5:7400", ops: "http://127.0.0.1:7401", version: "0.1.0"),
      json: """
        {"kind":"coordinator-state","coordinator":"central","data":"http://10.0.0.5:7400","online":true,"ops":"http://127.0.0.1:7401",\
        "session":"5f0c","version":"0.1.0"}
        """
    ).check()
    try Golden(
      message: CoordinatorState(coordinator: north, online: false, session: "5f0c"),
      json: #"{"kind":"coordinator-state","coordinator":"north","online":false,"session":"5f0c"}"#
    ).check()
  }

  @Test("a node's birth and Will")
  func nodeState() throws {
    try Golden(
      message: NodeState(
        node: pi, online: true, session: "a1", nodeKind: .device, labels: ["site": "lab", "arch": "x86_64"],
        capabilities: Capabilities(trainers: ["built-in"], version: "0.1.0"),
        resources: Resources(cores: 4, load: 0.25, memoryMiB: 900, diskMiB: 12000, battery: 80, mains: false, celsius: 41.5)),
      json: """
        {"kind":"node-state","capabilities":{"trainers":["built-in"],"version":"0.1.0"},"labels":{"arch":"x86_64","site":"lab"},\
        "node":"pi-1","nodeKind":"device","online":true,"resources":{"battery":80,"celsius":41.5,"cores":4,"diskMiB":12000,"load":0.25,\
        "mains":false,"memoryMiB":900},"session":"a1"}
        """
    ).check()
    try Golden(
      message: NodeState(node: north, online: true, session: "b2", nodeKind: .region, data: "http://10.0.0.6:7410"),
      json: #"{"kind":"node-state","data":"http://10.0.0.6:7410","node":"north","nodeKind":"region","online":true,"session":"b2"}"#
    ).check()
    try Golden(
      message: NodeState(node: pi, online: false, session: "a1", reason: Farewell.lost),
      json: #"{"kind":"node-state","node":"pi-1","online":false,"reason":"connection lost","session":"a1"}"#
    ).check()
  }

  @Test("a node's status: a device's and a scout's")
  func nodeStatus() throws {
    try Golden(
      message: NodeStatus(
        node: pi, task: digits, state: .training, round: 3, attempt: 1, phase: .train, progress: 0.5, loss: 0.125),
      json: """
        {"kind":"node-status","attempt":1,"loss":0.125,"node":"pi-1","phase":"train","progress":0.5,"round":3,"state":"training",\
        "task":"digits"}
        """
    ).check()
    try Golden(
      message: NodeStatus(
        node: pi, task: digits, state: .declined, reason: "busy with task other", retrySeconds: 5, devices: 0, declined: 1),
      json: """
        {"kind":"node-status","declined":1,"devices":0,"node":"pi-1","reason":"busy with task other","retrySeconds":5,"state":"declined",\
        "task":"digits"}
        """
    ).check()
    try Golden(
      message: NodeStatus(
        node: north, task: digits, state: .short, round: 3, attempt: 2, phase: .evaluate, reason: "no other device is ready", devices: 3,
        declined: 1, have: 3, waiting: [Waiting(node: "pi-1", reason: "went offline")], quota: 4),
      json: """
        {"kind":"node-status","attempt":2,"declined":1,"devices":3,"have":3,"node":"north","phase":"evaluate","quota":4,\
        "reason":"no other device is ready","round":3,"state":"short","task":"digits","waiting":[{"node":"pi-1","reason":"went offline"}]}
        """
    ).check()
  }

  @Test("an invitation")
  func invitation() throws {
    let grant = try #require(Grant(hexadecimal: hexadecimal))
    try Golden(
      message: Invitation(
        task: digits, revision: 2, key: RoundKey(round: 3, phase: .train, attempt: 1), quota: 4, minimum: 3,
        base: ModelReference(digest: digest, bytes: 79016), upload: "http://10.0.0.5:7400/v1/tasks/digits/rounds/3/updates/north",
        ticket: Ticket("t0"), grant: grant, seed: 9_007_199_254_740_991, secondsLeft: 59.5, startWithin: 0),
      json: """
        {"kind":"invitation","attempt":1,"base":{"bytes":79016,"digest":"sha256:\(hexadecimal)",\
        "path":"/v1/blobs/sha256:\(hexadecimal)"},"grant":"\(hexadecimal)","minimum":3,"phase":"train","quota":4,"revision":2,"round":3,\
        "secondsLeft":59.5,"seed":9007199254740991,"startWithin":0,"task":"digits","ticket":"t0",\
        "upload":"http://10.0.0.5:7400/v1/tasks/digits/rounds/3/updates/north"}
        """
    ).check()
  }

  @Test("a round's window")
  func roundState() throws {
    try Golden(
      message: RoundState(
        task: digits, step: .training, round: 3, rounds: 10, attempt: 1, counts: ["filled": 1, "recruiting": 1], needed: 8, have: 6,
        closesInSeconds: 12.5, why: "round 3 waits for 2 of 8 updates",
        waiting: [Waiting(node: "north/pi-1", reason: "training, 40 %")], more: 1, metrics: ["loss": 0.5, "accuracy": 0.75]),
      json: """
        {"kind":"round-state","attempt":1,"closesInSeconds":12.5,"counts":{"filled":1,"recruiting":1},"have":6,\
        "metrics":{"accuracy":0.75,"loss":0.5},"more":1,"needed":8,"round":3,"rounds":10,"step":"training","task":"digits",\
        "waiting":[{"node":"north/pi-1","reason":"training, 40 %"}],"why":"round 3 waits for 2 of 8 updates"}
        """
    ).check()
  }

  @Test("a task's descriptor")
  func descriptor() throws {
    var specification = TaskSpecification(
      name: "Digits", model: ModelSpecification(type: "lenet5", input: [1, 8, 8], classes: 10), regions: [north], rounds: 10,
      cohort: CohortSpecification(size: 8, minimum: 6))
    try Golden(
      message: TaskDescriptor(task: digits, specification: specification, revision: 1, state: .open, central: "http://10.0.0.5:7400"),
      json: """
        {"kind":"task","central":"http://10.0.0.5:7400","encoding":"float32","local":{"batch":32,"epochs":1,"momentum":0,"proximal":0,\
        "rate":0.1,"seed":1,"weightDecay":0},"maximumWeight":1000000,"model":{"classes":10,"input":[1,8,8],"type":"lenet5"},\
        "name":"Digits","regions":["north"],"revision":1,"rounds":10,"selection":"random","shared":["*"],"state":"open","task":"digits",\
        "trainer":"built-in","upload":"central"}
        """
    ).check()
    specification.where = "arch=x86_64"
    specification.requires = Requirements(memoryMiB: 256, maxLoad: 2)
    specification.cohort.selection = .load
    specification.upload = .region
    try Golden(
      message: TaskDescriptor(
        task: digits, specification: specification, revision: 4, state: .cancelled, reason: "wrong data/path",
        central: "http://10.0.0.5:7400", secondsLeft: 86_400),
      json: """
        {"kind":"task","central":"http://10.0.0.5:7400","encoding":"float32","local":{"batch":32,"epochs":1,"momentum":0,"proximal":0,\
        "rate":0.1,"seed":1,"weightDecay":0},"maximumWeight":1000000,"model":{"classes":10,"input":[1,8,8],"type":"lenet5"},\
        "name":"Digits","reason":"wrong data/path","regions":["north"],"requires":{"maxLoad":2,"memoryMiB":256},"revision":4,"rounds":10,\
        "secondsLeft":86400,"selection":"load","shared":["*"],"state":"cancelled","strategy":"fedavg","task":"digits",\
        "trainer":"built-in","upload":"region","where":"arch=x86_64"}
        """
    ).check()
  }
}

@Suite("What is no message")
struct MessageErrorTests {
  private func error(_ json: String) -> MessageError? {
    do throws(MessageError) {
      _ = try MessageCoder.decode(CoordinatorState.self, from: Array(json.utf8))
      return nil
    } catch {
      return error
    }
  }

  @Test("a newer protocol is refused by name, the same one passes")
  func newerProtocol() {
    let body = #""kind":"coordinator-state","coordinator":"north","online":true,"session":"s""#
    #expect(error("{\(body),\"protocol\":1}") == nil)
    #expect(error("{\(body),\"protocol\":2}") == .newerProtocol(2))
    #expect(error(#"{"kind":"coordinator-state","protocol":7}"#) == .newerProtocol(7), "what is newer need not be understood")
    #expect(MessageError.newerProtocol(2).description.contains("update this program"))
  }

  @Test("an unknown kind is refused by name, without its control characters")
  func unknownKind() {
    #expect(error(#"{"kind":"round-state"}"#) == .wrongKind(expected: "coordinator-state", got: "round-state"))
    #expect(error(#"{"kind":"a\u001b[2Jb"}"#)?.description.contains("\u{1b}") == false)
  }

  @Test("a payload of more than 4 KiB is neither read nor written")
  func oversize() throws {
    #expect(error(String(repeating: " ", count: 4097)) == .tooLarge(bytes: 4097))
    let long = CoordinatorState(coordinator: .central, online: true, session: String(repeating: "s", count: 4096))
    #expect(throws: MessageError.self) { try MessageCoder.encode(long) }
    let room = 4096 - #"{"kind":"coordinator-state","coordinator":"central","online":true,"session":""}"#.utf8.count
    let full = CoordinatorState(coordinator: .central, online: true, session: String(repeating: "s", count: room))
    #expect(try MessageCoder.decode(CoordinatorState.self, from: try MessageCoder.encode(full)) == full)
  }

  @Test(
    "nothing that arrives crashes the reader",
    arguments: [
      "", " ", "{", "{}", "[]", "null", "1e999", "\u{0}", "{\"kind\":1}", #"{"kind":"coordinator-state"}"#,
      #"{"kind":"coordinator-state","coordinator":"No/Pe","online":true,"session":"s"}"#,
      #"{"kind":"coordinator-state","coordinator":"north","online":"yes","session":"s"}"#,
      #"{"kind":"coordinator-state","coordinator":"north","online":null,"session":"s"}"#,
      #"{"kind":"coordinator-state","protocol":1e30,"coordinator":"north","online":true,"session":"s"}"#,
      #"{"kind":"coordinator-state","coordinator":"north","online":true,"session":"\ud800"}"#,
      String(repeating: "[", count: 4000), String(repeating: "{\"a\":", count: 800),
    ])
  func malformed(json: String) { #expect(error(json) != nil) }

  @Test("bytes that are no UTF-8 are refused")
  func notText() {
    let bytes: [UInt8] =
      Array(#"{"kind":"coordinator-state","coordinator":"north","online":true,"session":""#.utf8) + [0xff, 0xfe, 0x22, 0x7d]
    #expect(throws: MessageError.self) { try MessageCoder.decode(CoordinatorState.self, from: bytes) }
  }

  @Test("numbers that no field can hold are refused, not trapped", arguments: ["1e400", "99999999999999999999", "1.5", "-1e19"])
  func numbers(number: String) {
    let json = #"{"kind":"node-status","node":"pi","task":"digits","state":"ready","devices":\#(number)}"#
    #expect(throws: MessageError.self) { try MessageCoder.decode(NodeStatus.self, from: Array(json.utf8)) }
  }

  @Test("an error says where, in the words of the file")
  func explained() {
    #expect(error(#"{"kind":"coordinator-state","coordinator":"north","session":"s"}"#)?.description.contains("online: is missing") == true)
    #expect(
      error(#"{"kind":"coordinator-state","coordinator":"north","online":3,"session":"s"}"#)?.description
        .contains("online: expected true or false") == true)
  }
}
