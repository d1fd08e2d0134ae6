/// `POST /v1/tasks/{task}/rounds/{round}/replay`: a round's model, computed again from what is stored.
public struct ReplayReport: Codable, Hashable, Sendable {
  public var task: TaskID
  public var round: Int
  public var recorded: Digest
  /// Nil when something that it needs was collected.
  public var computed: Digest?
  /// The inputs that retention has taken.
  public var collected: [String]

  public init(task: TaskID, round: Int, recorded: Digest, computed: Digest?, collected: [String]) {
    self.task = task
    self.round = round
    self.recorded = recorded
    self.computed = computed
    self.collected = collected
  }

  public var isSame: Bool { computed == recorded }
}
