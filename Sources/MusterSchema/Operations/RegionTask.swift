/// `GET /v1/tasks/{task}` of a region: what it knows of a task itself. Where it aggregates, its rounds name its devices' contributions.
package struct RegionTask: Codable, Hashable, Sendable {
  package var descriptor: TaskDescriptor
  package var now: RoundState
  package var rounds: [RoundRecord]
  package var traffic: Traffic

  package init(descriptor: TaskDescriptor, now: RoundState, rounds: [RoundRecord], traffic: Traffic) {
    self.descriptor = descriptor
    self.now = now
    self.rounds = rounds
    self.traffic = traffic
  }
}
