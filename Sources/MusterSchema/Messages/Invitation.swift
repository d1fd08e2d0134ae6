/// `muster/v1/{c}/nodes/{node}/invitations/{task}`: invites a node to this phase of this round.
package struct Invitation: Message {
  package static var kind: String { "invitation" }

  package var task: TaskID
  /// The revision of the task's descriptor that the invitation refers to.
  package var revision: Int
  package var round: Int
  package var attempt: Int
  package var phase: Phase
  /// Number of devices asked for, and the smallest number that is useful. Both are 1 for a device.
  package var quota: Int
  package var minimum: Int
  package var base: ModelReference
  /// The complete address of the contribution. A scout appends `/` and its device's id.
  package var upload: String
  /// Admits one contribution. Never logged.
  package var ticket: Ticket?
  /// For a scout: the grant from which the tickets of its devices derive. Never logged.
  package var grant: Grant?
  package var seed: UInt64
  /// Seconds left for the delivery.
  package var secondsLeft: Double
  /// Start after a random delay of at most this many seconds, so that devices do not all start at once.
  package var startWithin: Double

  package init(
    task: TaskID, revision: Int, key: RoundKey, quota: Int, minimum: Int, base: ModelReference, upload: String, ticket: Ticket? = nil,
    grant: Grant? = nil, seed: UInt64, secondsLeft: Double, startWithin: Double
  ) {
    self.task = task
    self.revision = revision
    self.round = key.round
    self.attempt = key.attempt
    self.phase = key.phase
    self.quota = quota
    self.minimum = minimum
    self.base = base
    self.upload = upload
    self.ticket = ticket
    self.grant = grant
    self.seed = seed
    self.secondsLeft = secondsLeft
    self.startWithin = startWithin
  }

  package var key: RoundKey { RoundKey(round: round, phase: phase, attempt: attempt) }
}
