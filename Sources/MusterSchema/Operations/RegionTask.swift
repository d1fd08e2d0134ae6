/// `GET /v1/tasks/{task}` of a region: its own view of a task. If it aggregates, its rounds name the contributions of its devices.
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
