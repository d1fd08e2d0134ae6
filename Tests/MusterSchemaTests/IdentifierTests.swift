import MusterSchema
import Testing

@Suite("Identifiers and paths")
struct IdentifierTests {
  static let good = ["a", "0", "pi-1", "x--y-", "9abc", String(repeating: "a", count: 63)]
  static let bad = [
    "", "-a", "A", "Pi", "a_b", "a.b", "..", ".", "a/b", "/", "+", "#", "a+", "a#", "$SYS", "a b", " a", "a\n", "a\u{0}", "a\u{7f}", "ä",
    "а",
    "a\u{301}", "𝟙", "a%2fb", "a\u{200b}", String(repeating: "a", count: 64),
  ]

  @Test("what is safe in topics, paths and file names is an identifier", arguments: good)
  func accepted(text: String) throws {
    #expect(NodeID(rawValue: text)?.description == text)
    #expect(try TaskID(validating: text).rawValue == text)
    #expect(try JSON.decode([NodeID].self, from: Array("[\"\(text)\"]".utf8)).map(\.rawValue) == [text])
  }

  @Test("what could change a topic, a path or a terminal is none", arguments: bad)
  func refused(text: String) throws {
    #expect(NodeID(rawValue: text) == nil)
    #expect(throws: IdentifierError.self) { try TaskID(validating: text) }
    let json = try JSON.encode([text])
    #expect(throws: DecodingError.self) { try JSON.decode([NodeID].self, from: json) }
    // Paths are checked level by level. A slash only separates levels.
    for level in [text, "north/\(text)", "\(text)/north"] where text != "a/b" {
      #expect(throws: IdentifierError.self) { try NodePath(validating: level) }
    }
  }

  @Test("the error shows the text without what could harm a terminal")
  func message() {
    let error = #expect(throws: IdentifierError.self) {
      try TaskID(validating: "a\u{1b}[31m\n" + String(repeating: "x", count: 300))
    }
    guard let error else { return }
    #expect(!error.description.contains("\u{1b}") && !error.description.contains("\n"))
    #expect(error.description.count < 220)
  }

  @Test("a path has one to eight levels and is ordered as it is written")
  func paths() throws {
    #expect(try NodePath(validating: "north/pi-1").nodes.map(\.rawValue) == ["north", "pi-1"])
    #expect(throws: IdentifierError.self) { try NodePath(validating: "a/b/c/d/e/f/g/h/i") }
    #expect(try NodePath(validating: "a/b/c/d/e/f/g/h").nodes.count == 8)
    #expect(try NodePath(validating: "a/b/c/d/e/f/g/h").appending(NodeID(unchecked: "i")) == nil)
    #expect(NodePath([]) == nil)
    let paths = try ["north/pi-10", "north/pi-2", "north", "a/z"].map { try NodePath(validating: $0) }
    #expect(paths.sorted().map(\.description) == ["a/z", "north", "north/pi-10", "north/pi-2"])
  }

  @Test("dictionaries by identifier are JSON objects with sorted keys")
  func dictionaryKeys() throws {
    let quotas = [NodeID(unchecked: "south"): 2, NodeID(unchecked: "north"): 1]
    #expect(String(decoding: try JSON.encode(quotas), as: UTF8.self) == #"{"north":1,"south":2}"#)
    #expect(try JSON.decode([NodeID: Int].self, from: Array(#"{"north":1,"south":2}"#.utf8)) == quotas)
  }
}

@Suite("Topics")
struct TopicTests {
  private static let (north, pi) = (NodeID(unchecked: "north"), NodeID(unchecked: "pi-1"))
  private static let digits = TaskID(unchecked: "digits")

  static let all: [(topic: Topic, text: String)] = [
    (.coordinatorState(.central), "muster/v1/central/state"),
    (.task(coordinator: north, task: digits), "muster/v1/north/tasks/digits"),
    (.round(coordinator: north, task: digits), "muster/v1/north/tasks/digits/round"),
    (.nodeState(coordinator: north, node: pi), "muster/v1/north/nodes/pi-1/state"),
    (.nodeStatus(coordinator: north, node: pi, task: digits), "muster/v1/north/nodes/pi-1/tasks/digits"),
    (.invitation(coordinator: north, node: pi, task: digits), "muster/v1/north/nodes/pi-1/invitations/digits"),
  ]

  @Test("what is built is parsed back", arguments: all)
  func identity(topic: Topic, text: String) throws {
    #expect(topic.description == text)
    #expect(try Topic(parsing: text) == topic)
  }

  @Test("a task called round or a node called state is no confusion")
  func sameWords() throws {
    let state = NodeID(unchecked: "state")
    let round = TaskID(unchecked: "round")
    for topic: Topic in [
      .task(coordinator: state, task: round), .round(coordinator: state, task: round), .nodeState(coordinator: state, node: state),
      .nodeStatus(coordinator: NodeID(unchecked: "nodes"), node: NodeID(unchecked: "tasks"), task: TaskID(unchecked: "state")),
      .invitation(coordinator: state, node: NodeID(unchecked: "invitations"), task: round),
    ] { #expect(try Topic(parsing: topic.description) == topic) }
  }

  @Test(
    "everything else is refused",
    arguments: [
      "", "/", "muster", "muster/v1", "muster/v1/north", "muster/v1/north/", "muster/v1//state", "muster/v1/north/state/",
      "/muster/v1/north/state",
      "Muster/v1/north/state", "muster/v0/north/state", "muster/v01/north/state", "muster/v+1/north/state", "muster/v-1/north/state",
      "muster/v/north/state", "muster/1/north/state", "muster/v1/North/state", "muster/v1/+/state", "muster/v1/#", "muster/v1/../state",
      "muster/v1/north/tasks", "muster/v1/north/tasks/", "muster/v1/north/tasks/digits/rounds", "muster/v1/north/tasks/digits/round/x",
      "muster/v1/north/nodes/pi-1", "muster/v1/north/nodes/pi-1/state/x", "muster/v1/north/nodes/pi-1/tasks/a/b", "$SYS/broker/uptime",
      "muster/v1/north/nodes/pi-1/tasks/\u{0}", "muster/v1/north/nodes/+/state", String(repeating: "a/", count: 4000),
      "muster/v99999999999999999999/north/state",
    ])
  func refused(text: String) { #expect(throws: TopicError.self) { try Topic(parsing: text) } }

  @Test("a newer version is told from a foreign topic")
  func newer() {
    #expect(throws: TopicError.newerVersion(2)) { try Topic(parsing: "muster/v2/north/whatever/comes/then") }
  }

  @Test("each side's filters match what it has to hear, and a device's nothing of its neighbours")
  func filters() {
    func matches(_ filter: String, _ topic: Topic) -> Bool {
      let (a, b) = (filter.split(separator: "/"), topic.description.split(separator: "/"))
      return a.count == b.count && zip(a, b).allSatisfy { $0 == "+" || $0 == $1 }
    }
    let coordinator = Topic.coordinatorFilters(Self.north)
    let device = Topic.participantFilters(Self.north, node: Self.pi)
    func heard(_ filters: [String], _ topic: Topic) -> Bool { filters.contains { matches($0, topic) } }
    #expect(heard(coordinator, .nodeState(coordinator: Self.north, node: Self.pi)))
    #expect(heard(coordinator, .nodeStatus(coordinator: Self.north, node: Self.pi, task: Self.digits)))
    #expect(!heard(coordinator, .invitation(coordinator: Self.north, node: Self.pi, task: Self.digits)))
    #expect(heard(device, .coordinatorState(Self.north)) && heard(device, .task(coordinator: Self.north, task: Self.digits)))
    #expect(heard(device, .invitation(coordinator: Self.north, node: Self.pi, task: Self.digits)))
    #expect(heard(device, .nodeState(coordinator: Self.north, node: Self.pi)))
    let neighbour = NodeID(unchecked: "pi-2")
    #expect(!heard(device, .invitation(coordinator: Self.north, node: neighbour, task: Self.digits)))
    #expect(!heard(device, .nodeState(coordinator: Self.north, node: neighbour)))
    #expect(!heard(device, .task(coordinator: .central, task: Self.digits)))
  }
}
