/// `POST /v1/tasks/check`: what a push would do.
public struct TaskCheck: Codable, Hashable, Sendable {
  public var problems: [FieldProblem]
  /// Devices that match the selector and the requirements now.
  public var matching: [NodePath]
  /// Devices that do not, with why.
  public var others: [Waiting]
  /// Regions that did not answer.
  public var unreachable: [Waiting]
  /// Size of the task's descriptor, of at most 4,096 bytes. Version 0.1.0 does not send it.
  public var descriptorBytes: Int?

  public init(
    problems: [FieldProblem], matching: [NodePath], others: [Waiting], unreachable: [Waiting], descriptorBytes: Int? = nil
  ) {
    self.descriptorBytes = descriptorBytes
    self.problems = problems
    self.matching = matching
    self.others = others
    self.unreachable = unreachable
  }
}
