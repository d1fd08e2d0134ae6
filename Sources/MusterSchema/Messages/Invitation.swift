/// `muster/v1/{c}/nodes/{node}/invitations/{task}`: take part in this phase of this round.
package struct Invitation: Message {
  package static var kind: String { "invitation" }

  package var task: TaskID
  /// The descriptor's revision that the invitation belongs to.
  package var revision: Int
  package var round: Int
  package var attempt: Int
  package var phase: Phase
  /// Devices asked for, and the least that help: 1 and 1 for a device.
  package var quota: Int
  package var minimum: Int
  package var base: ModelReference
  /// Where the contribution goes, complete. A scout appends `/` and its device's id.
  package var upload: String
  /// Admits one contribution. Never logged.
  package var ticket: Ticket?
  /// For a scout: what its devices' tickets derive from. Never logged.
  package var grant: Grant?
  package var seed: UInt64
  /// Time left to deliver, seconds.
  package var secondsLeft: Double
  /// Start within this many seconds, at random: a spread against herds.
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
