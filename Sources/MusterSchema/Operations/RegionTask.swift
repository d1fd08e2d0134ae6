/// `GET /v1/tasks/{task}` of a region: what it knows of a task itself. Where it aggregates, its rounds name its devices' contributions.
public struct RegionTask: Codable, Hashable, Sendable {
  public var descriptor: TaskDescriptor
  public var now: RoundState
  public var rounds: [RoundRecord]
  public var traffic: Traffic

  public init(descriptor: TaskDescriptor, now: RoundState, rounds: [RoundRecord], traffic: Traffic) {
    self.descriptor = descriptor
    self.now = now
    self.rounds = rounds
    self.traffic = traffic
  }
}
