import MusterSchema

@testable import MusterCoordination

extension TaskID {
  static let digits = TaskID(unchecked: "digits")
  static let other = TaskID(unchecked: "other")
}

extension NodeID {
  static let north = NodeID(unchecked: "north")
  static let south = NodeID(unchecked: "south")
  static func pi(_ number: Int) -> NodeID { NodeID(unchecked: "pi-\(number)") }
}

extension Digest {
  init(of text: String) { self.init(of: Array(text.utf8)) }
}

func specification(
  rounds: Int = 3, size: Int = 6, minimum: Int = 4, ready: Double = 0, devices: Bool = true, maxAttempts: Int = 5,
  upload: UploadTarget = .central
) -> TaskSpecification {
  TaskSpecification(
    name: "digits", model: ModelSpecification(type: "softmax", input: [1, 8, 8], classes: 10), regions: [.north, .south], rounds: rounds,
    cohort: CohortSpecification(size: size, minimum: minimum, ready: ready, seconds: 60),
    evaluate: EvaluationSpecification(devices: devices),
    upload: upload, maxAttempts: maxAttempts)
}

extension Coordinator.Effect {
  var invited: NodeID? { if case .invite(let node, _) = self { node } else { nil } }
}
