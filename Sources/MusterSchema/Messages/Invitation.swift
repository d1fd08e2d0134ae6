/// `muster/v1/{c}/nodes/{node}/invitations/{task}`: take part in this phase of this round.
public struct Invitation: Message {
  public static var kind: String { "invitation" }

  public var task: TaskID
  /// The descriptor's revision that the invitation belongs to.
  public var revision: Int
  public var round: Int
  public var attempt: Int
  public var phase: Phase
  /// Devices asked for, and the least that help: 1 and 1 for a device.
  public var quota: Int
  public var minimum: Int
  public var base: ModelReference
  /// Where the contribution goes, complete. A scout appends `/` and its device's id.
  public var upload: String
  /// Admits one contribution. Never logged.
  public var ticket: Ticket?
  /// For a scout: what its devices' tickets derive from. Never logged.
  public var grant: Grant?
  public var seed: UInt64
  /// Time left to deliver, seconds.
  public var secondsLeft: Double
  /// Start within this many seconds, at random: a spread against herds.
  public var startWithin: Double

  public init(
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

  public var key: RoundKey { RoundKey(round: round, phase: phase, attempt: attempt) }
}
