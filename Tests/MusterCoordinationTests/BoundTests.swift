import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

@Suite("What strangers can make a coordinator remember")
struct BoundTests {
  private let most = CoordinatorConfiguration(data: "").mostNodes

  private let task = TaskID(unchecked: "a-task")
  private func ghost(_ number: Int) -> NodeID { NodeID(unchecked: "ghost-\(number)") }
  private func birth(_ node: NodeID, online: Bool = true) -> Coordinator.Event {
    .node(NodeState(node: node, online: online, session: "a", capabilities: Capabilities(trainers: ["built-in"])))
  }

  /// A region whose table of nodes is full of ids that are no longer in use, after one honest device.
  private func flooded() -> Coordinator {
    var region = Coordinator(id: .north, configuration: CoordinatorConfiguration(data: "http://127.0.0.1:7410"))
    let descriptor = TaskDescriptor(
      task: task, specification: specification(), revision: 1, state: .open, central: "http://127.0.0.1:7400")
    _ = region.handle(.forward(descriptor), at: .zero)
    _ = region.handle(birth(.pi(1)), at: .zero)
    _ = region.handle(.status(NodeStatus(node: .pi(1), task: task, state: .ready, devices: 1)), at: .zero)
    for number in 1..<most { _ = region.handle(birth(ghost(number)), at: Instant(milliseconds: Int64(number))) }
    return region
  }

  @Test("new devices are taken up after any number of short-lived ids, which make room for them, and it is said")
  func nodes() throws {
    var region = flooded()
    #expect(region.nodes.count == most)
    for number in 100..<110 { _ = region.handle(birth(ghost(number), online: false), at: Instant(milliseconds: 30_000)) }
    let now = Instant(milliseconds: 40_000)
    let effects = region.handle(birth(.pi(2)), at: now).effects
    #expect(effects.contains { if case .evicted(let count, of: 20_000) = $0 { count > 0 } else { false } })
    _ = region.handle(.status(NodeStatus(node: .pi(2), task: task, state: .ready, devices: 1)), at: now)
    #expect(region.nodes[.pi(2)]?.online == true && region.nodes[.pi(1)]?.online == true)
    #expect(region.standing(task)?.readiness.devices == 2)
    for number in 100..<110 { #expect(region.nodes[ghost(number)] == nil, "who is offline goes first") }
    #expect(region.nodes[ghost(1)] == nil && region.nodes[ghost(most - 1)] != nil, "the longest unheard goes first")
    #expect(region.nodes.count <= most)
    // The last eviction has made room for several nodes.
    #expect(!region.handle(birth(.pi(3)), at: now).effects.contains { if case .evicted = $0 { true } else { false } })
  }

  @Test("a device that left before its region came is listed and can be forgotten, and pushes nobody out")
  func leftBefore() {
    var region = Coordinator(id: .north, configuration: CoordinatorConfiguration(data: "http://127.0.0.1:7410"))
    let will = NodeState(node: .pi(1), online: false, session: "a", reason: Farewell.lost)
    _ = region.handle(.node(will, retained: true), at: .zero)
    #expect(region.nodes[.pi(1)] == will)
    _ = region.handle(.node(NodeState(node: .pi(1), online: false, session: "b"), retained: false), at: .zero)
    #expect(region.nodes[.pi(1)] == will, "a Will of a connection that nobody knew")
    let effects = region.handle(.forgetNode(.pi(1)), at: .zero).effects
    #expect(region.nodes.isEmpty && effects.contains(.clear(.nodeState(coordinator: .north, node: .pi(1)))))
    // Its Will comes late, and the broker retains it again.
    let late = region.handle(.node(will, retained: false), at: .zero).effects
    #expect(region.nodes.isEmpty && late == [.clear(.nodeState(coordinator: .north, node: .pi(1)))])
    // A device that is still running publishes its birth again, under the same session.
    _ = region.handle(.node(NodeState(node: .pi(1), online: true, session: "a"), retained: false), at: .zero)
    #expect(region.nodes[.pi(1)]?.online == true)
    region = flooded()
    _ = region.handle(.node(NodeState(node: .pi(9), online: false, session: "a"), retained: true), at: .zero)
    #expect(region.nodes.count == most && region.nodes[.pi(9)] == nil)
  }

  @Test("a device that holds a place in a round stays, however long nothing was heard of it")
  func atWork() {
    var region = flooded()
    let order = Invitation(
      task: task, revision: 1, key: RoundKey(round: 1, phase: .train, attempt: 1), quota: 1, minimum: 1,
      base: ModelReference(digest: Digest(of: "base"), bytes: 10), upload: "http://central:7400/v1/x/north", seed: 5, secondsLeft: 600,
      startWithin: 0)
    _ = region.handle(.order(order), at: .zero)
    let status = NodeStatus(node: .pi(1), task: task, state: .training, round: 1, attempt: 1, phase: .train)
    _ = region.handle(.status(status), at: .zero)
    for number in 0..<most {
      _ = region.handle(birth(NodeID(unchecked: "later-\(number)")), at: Instant(milliseconds: 100_000 + Int64(number)))
    }
    #expect(region.nodes[.pi(1)]?.online == true && region.nodes.count <= most)
  }

  @Test("strangers that say they are at work take no room for good")
  func claimed() {
    var region = Coordinator(id: .north, configuration: CoordinatorConfiguration(data: "http://127.0.0.1:7410"))
    let descriptor = TaskDescriptor(
      task: task, specification: specification(), revision: 1, state: .open, central: "http://127.0.0.1:7400")
    _ = region.handle(.forward(descriptor), at: .zero)
    let order = Invitation(
      task: task, revision: 1, key: RoundKey(round: 1, phase: .train, attempt: 1), quota: 1, minimum: 1,
      base: ModelReference(digest: Digest(of: "base"), bytes: 10), upload: "http://central:7400/v1/x/north", seed: 5, secondsLeft: 600,
      startWithin: 0)
    _ = region.handle(.order(order), at: .zero)
    _ = region.handle(birth(.pi(1)), at: .zero)
    _ = region.handle(.status(NodeStatus(node: .pi(1), task: task, state: .ready, devices: 1)), at: .zero)
    _ = region.handle(birth(ghost(1)), at: .zero)
    _ = region.handle(
      .status(NodeStatus(node: ghost(1), task: task, state: .done, round: 1, attempt: 1, phase: .train)), at: .zero)
    #expect(region.tasks[task]?.train?.nodes.seats.map(\.node) == [ghost(1), .pi(1)])
    for node in [ghost(1), .pi(1)] { region.letGo(of: node) }
    #expect(region.tasks[task]?.train?.nodes.seats.map(\.node) == [.pi(1)], "who was invited keeps its place")
    #expect(region.tasks[task]?.train?.nodes.all.values.allSatisfy { !$0.hasDelivered } == (region.tasks[task]?.isLedger == false))
  }

  @Test("what stood on the topics of a forgotten task is cleared on every connection, until the task is there again")
  func forgottenTask() {
    var region = Coordinator(id: .north, configuration: CoordinatorConfiguration(data: "http://127.0.0.1:7410"))
    let descriptor = TaskDescriptor(
      task: task, specification: specification(), revision: 1, state: .open, central: "http://127.0.0.1:7400")
    let clear = Coordinator.Effect.clear(.task(coordinator: .north, task: task))
    _ = region.handle(.forward(descriptor), at: .zero)
    #expect(region.handle(.forget(task), at: .zero).effects.contains(clear))
    _ = region.handle(.disconnected, at: .zero)
    #expect(region.handle(.connected, at: .zero).effects.contains(clear), "the first clearing may have been lost")
    _ = region.handle(.forward(descriptor), at: .zero)
    #expect(!region.handle(.connected, at: .zero).effects.contains(clear))
    for number in 0..<200 {
      var other = descriptor
      other.task = TaskID(unchecked: "task-\(number)")
      _ = region.handle(.forward(other), at: .zero)
      _ = region.handle(.forget(other.task), at: .zero)
    }
    #expect(region.forgotten.count == 64)
  }

  @Test("a declared region is never forgotten for strangers")
  func declared() {
    let configuration = CoordinatorConfiguration(data: "http://127.0.0.1:7400", declared: [.north])
    var central = Coordinator(id: .central, configuration: configuration)
    _ = central.handle(birth(.north), at: .zero)
    _ = central.handle(birth(.north, online: false), at: .zero)
    for number in 0..<most + 10 { _ = central.handle(birth(ghost(number)), at: Instant(milliseconds: Int64(number))) }
    #expect(central.nodes[.north] != nil && central.nodes.count <= most)
  }

  @Test("statuses under made-up ids make room for those of nodes that are there")
  func statuses() {
    var region = Coordinator(id: .north, configuration: CoordinatorConfiguration(data: "http://127.0.0.1:7410"))
    let descriptor = TaskDescriptor(
      task: task, specification: specification(), revision: 1, state: .open, central: "http://127.0.0.1:7400")
    _ = region.handle(.forward(descriptor), at: .zero)
    _ = region.handle(birth(.pi(1)), at: .zero)
    for number in 0..<most {
      _ = region.handle(.status(NodeStatus(node: ghost(number), task: task, state: .declined)), at: .zero)
    }
    _ = region.handle(.status(NodeStatus(node: .pi(1), task: task, state: .ready, devices: 1)), at: .zero)
    #expect(region.standing(task)?.readiness.devices == 1)
    #expect((region.tasks[task]?.roll.count ?? 0) <= most)
  }

  @Test("a node that an operator forgets leaves no topic, no place and no name; one that is there comes back")
  func forgetting() {
    var region = Coordinator(id: .north, configuration: CoordinatorConfiguration(data: "http://127.0.0.1:7410"))
    let descriptor = TaskDescriptor(
      task: task, specification: specification(), revision: 1, state: .open, central: "http://127.0.0.1:7400")
    _ = region.handle(.forward(descriptor), at: .zero)
    _ = region.handle(birth(.pi(1)), at: .zero)
    _ = region.handle(.status(NodeStatus(node: .pi(1), task: task, state: .ready, devices: 1)), at: .zero)
    let effects = region.handle(.forgetNode(.pi(1)), at: .zero).effects
    #expect(effects.contains(.clear(.nodeState(coordinator: .north, node: .pi(1)))))
    #expect(effects.contains(.clear(.nodeStatus(coordinator: .north, node: .pi(1), task: task))))
    #expect(region.nodes.isEmpty && region.standing(task)?.readiness.devices == 0)
    _ = region.handle(birth(.pi(1)), at: .zero)
    #expect(region.nodes[.pi(1)]?.online == true)
  }
}
