/// `POST /v1/tasks/check`: the effect that a push would have.
package struct TaskCheck: Codable, Hashable, Sendable {
  package var problems: [FieldProblem]
  /// Devices that match the selector and the requirements now.
  package var matching: [NodePath]
  /// Devices that do not match, with the reason.
  package var others: [Waiting]
  /// Regions that did not answer.
  package var unreachable: [Waiting]
  /// Size of the task's descriptor, which may have up to 4,096 bytes. Version 0.1.0 does not send it.
  package var descriptorBytes: Int?

  package init(
    problems: [FieldProblem], matching: [NodePath], others: [Waiting], unreachable: [Waiting], descriptorBytes: Int? = nil
  ) {
    self.descriptorBytes = descriptorBytes
    self.problems = problems
    self.matching = matching
    self.others = others
    self.unreachable = unreachable
  }
}
