import MusterSchema
import Testing

@testable import MusterCoordination

@Suite struct BoundTests {
  @Test("A coordinator remembers a bounded number of nodes, and goes on listening to those that it knows")
  func nodes() throws {
    var central = Coordinator(id: .central, configuration: CoordinatorConfiguration(data: "http://127.0.0.1:7400"))
    let task = TaskID(unchecked: "a-task")
    let specification = TaskSpecification(
      name: "a", model: ModelSpecification(type: "softmax"), regions: [NodeID(unchecked: "north")], rounds: 1,
      cohort: CohortSpecification(size: 1))
    _ = central.handle(.accept(task, specification), at: .zero)
    func node(_ number: Int) -> NodeID { NodeID(unchecked: "ghost-\(number)") }
    for number in 0..<Coordinator.maximumNodes + 10 {
      _ = central.handle(.node(NodeState(node: node(number), online: true, session: "a")), at: .zero)
    }
    #expect(central.nodes.count == Coordinator.maximumNodes)
    _ = central.handle(.node(NodeState(node: node(7), online: false, session: "a")), at: .zero)
    #expect(central.nodes[node(7)]?.online == false)
    for number in 0..<20 { _ = central.handle(.status(NodeStatus(node: node(number), task: task, state: .ready, devices: 1)), at: .zero) }
    #expect(central.tasks[task]?.statuses.count == 20)
  }
}
