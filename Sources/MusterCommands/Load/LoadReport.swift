import MusterLoad
import MusterSchema

/// The results of a load, as `--output json` prints them. Times are in seconds and memory is in bytes.
struct LoadReport: Encodable, Hashable, Sendable {
  struct Round: Encodable, Hashable, Sendable {
    var round: Int
    /// Seconds from the opening of the round to its record, by central's own time; `nil` when the task failed before there was a record.
    var seconds: Double?
    var attempts: Int?
    /// Devices whose contributions count, by central's record.
    var counted: Int
    /// Devices that received an invitation.
    var invited: Int
    /// All invitations received.
    var invitations: Int
    /// Invitations received again with the same round, phase and attempt.
    var repeated: Int
    /// Invitations that no device received, plus devices that received one and that the record names as missing.
    var lost = 0
    /// Seconds from the first invitation of the round to each device's first one.
    var inviting: Percentiles?
    /// Seconds from a device's invitation to the answer 200 or 201.
    var delivery: Percentiles?
    /// Seconds from the last such answer to the first invitation of the next round, or to the task's end.
    var closing: Double?
    var refusals: [RefusalCount]
    /// Processor time in milliseconds per device of the cohort, by process.
    var processorMilliseconds: [String: Double]
  }

  struct RefusalCount: Encodable, Hashable, Sendable {
    var status: Int?
    var code: String
    var count: Int
  }

  struct Process: Encodable, Hashable, Sendable {
    /// `broker`, `central`, a region's name, or `generator`.
    var name: String
    /// Processor time in milliseconds per device, until all devices are connected and known to the regions.
    var connecting: Double
    /// Processor time in milliseconds per device, from the push to the first invitation.
    var describing: Double
    /// Processor time in milliseconds per device of the cohort and per round.
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
  /// Seconds until all devices were connected.
  var connectSeconds: Double
  /// Seconds from the push until each device had received the task's descriptor.
  var descriptor: Percentiles?
  var rounds: [Round]
  /// Delivery times of all rounds together.
  var delivery: Percentiles?
  var roundSeconds: Percentiles?
  var refusals: [RefusalCount]
  var lostConnections: Int
  var processes: [Process]

  /// - Parameters:
  ///   - records: central's records of the rounds.
  ///   - regionRecords: the records of regions that aggregate, in which devices are named by their paths.
  ///   - names: the names of the processes, in the order of the readings.
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

  static func counts(_ refusals: [RequestFailure: Int]) -> [RefusalCount] {
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
