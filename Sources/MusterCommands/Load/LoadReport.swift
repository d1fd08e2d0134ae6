import MusterLoad
import MusterSchema

/// What a load found, as `--output json` prints it. Seconds are seconds, memory is bytes.
struct LoadReport: Encodable, Hashable, Sendable {
  struct Round: Encodable, Hashable, Sendable {
    var round: Int
    /// From its opening to its record, of central's own time; nil of a round that has no record, because the task failed in it.
    var seconds: Double?
    var attempts: Int?
    /// Devices whose contributions count, as central's record says.
    var counted: Int
    /// Devices that got an invitation.
    var invited: Int
    /// All invitations that came.
    var invitations: Int
    /// Invitations that came again with the same round, phase and attempt.
    var repeated: Int
    /// Invitations that no device got, and devices that got theirs and that the record names as missing.
    var lost = 0
    /// Seconds from the first invitation of the round to a device's first one.
    var inviting: Percentiles?
    /// Seconds from a device's invitation to the answer 201.
    var delivery: Percentiles?
    /// Seconds from the last answer 201 to the first invitation of the next round, or to the task's end.
    var closing: Double?
    var refusals: [RefusalCount]
    /// Processor time in milliseconds for each device of the cohort, by process.
    var processorMilliseconds: [String: Double]
  }

  struct RefusalCount: Encodable, Hashable, Sendable {
    var status: Int?
    var code: String
    var count: Int
  }

  struct Process: Encodable, Hashable, Sendable {
    /// `broker`, `central`, a region, `generator`.
    var name: String
    /// Processor time in milliseconds for each device, until all of them are connected and known.
    var connecting: Double
    /// From the push to the first invitation.
    var describing: Double
    /// For each device of the cohort and each round.
    var round: Double
    var peakBytes: Int
    var residentBytes: Int
  }

  var devices: Int
  var regions: Int
  var cohort: Int
  var upload: UploadTarget
  var spread: Bool
  var outcome: RoundState.Step
  var reason: String
  /// Until all devices were connected.
  var connectSeconds: Double
  /// Seconds from the push until each device had the task's descriptor.
  var descriptor: Percentiles?
  var rounds: [Round]
  /// Of all rounds.
  var delivery: Percentiles?
  var roundSeconds: Percentiles?
  var refusals: [RefusalCount]
  var lostConnections: Int
  var processes: [Process]

  /// - Parameters:
  ///   - records: central's.
  ///   - regionRecords: of regions that aggregate, with devices' names as paths.
  ///   - names: of the processes, in the order of the course's readings.
  init(
    _ settings: LoadSettings, regions: Int, _ course: LoadCourse, _ measures: LoadMeasures, records: [RoundRecord],
    regionRecords: [RoundRecord] = [], names: [String]
  ) throws(CommandError) {
    guard let pushed = course.pushed, let connected = course.connected else {
      throw CommandError(.unexpected, "the task ended before it was pushed")
    }
    devices = settings.devices
    self.regions = regions
    cohort = settings.cohort
    upload = settings.upload
    spread = settings.spreads
    (outcome, reason) = (course.outcome, course.reason)
    connectSeconds = (connected - course.started) / .seconds(1)
    descriptor = Percentiles(measures.described.compactMap { $0.map { ($0 - pushed) / .seconds(1) } })
    let spans = CostSpans(course, names: names, settings: settings)
    let training = measures.rounds[.train] ?? [:]
    let paths = settings.paths(DemoPlan.regionNames(regions)).map(\.description)
    rounds = Set(records.map(\.round) + training.keys).sorted().map { number in
      let missed = (records + regionRecords).filter { $0.round == number }.flatMap(\.missed).map(\.node)
      var round = Round(number, records.first { $0.round == number }, training[number], spans.rounds[number] ?? [:])
      let invited = Set((training[number]?.invited.keys).map { $0.map { paths[$0] } } ?? [])
      round.lost = max(0, settings.cohort - invited.count) + invited.intersection(missed).count
      if let last = training[number]?.lastDelivered, let next = training[number + 1]?.began ?? course.ended {
        round.closing = (next - last) / .seconds(1)
      }
      return round
    }
    delivery = Percentiles(training.values.flatMap(\.delivered))
    roundSeconds = Percentiles(rounds.compactMap(\.seconds))
    refusals = Self.counts(measures.refusals)
    lostConnections = measures.lostConnections
    processes = spans.processes
  }

  static func counts(_ refusals: [Refusal: Int]) -> [RefusalCount] {
    refusals.sorted { $0.key < $1.key }.map { RefusalCount(status: $0.key.status, code: $0.key.code, count: $0.value) }
  }
}

extension LoadReport.Round {
  fileprivate init(
    _ number: Int, _ record: RoundRecord?, _ measure: RoundMeasure?, _ processorMilliseconds: [String: Double]
  ) {
    round = number
    seconds = record?.seconds
    attempts = record?.attempts
    counted = (record?.updates ?? []).filter { $0.fate == .counted }.reduce(0) { $0 + $1.devices }
    invited = measure?.invited.count ?? 0
    invitations = measure?.invitations ?? 0
    repeated = measure?.repeated ?? 0
    inviting = measure.flatMap { measure in Percentiles(measure.invited.values.map { ($0 - measure.began) / .seconds(1) }) }
    delivery = Percentiles(measure?.delivered ?? [])
    refusals = LoadReport.counts(measure?.refusals ?? [:])
    self.processorMilliseconds = processorMilliseconds
  }
}
