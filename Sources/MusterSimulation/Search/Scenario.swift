internal import MusterCoordination
internal import MusterSchema

/// What a seed stands for: a fleet, one or two tasks, and the kinds of trouble.
///
/// Each kind of trouble is left out in about half of all seeds, because some faults hide others.
struct Scenario {
  enum Trouble: CaseIterable {
    case breaking, silentLoss, duplicates, reordering, hiccups, lostExchanges
    case halfOpen, partitions, brokerDeath
    case centralCrashes, regionCrashes, deviceCrashes, freezes, failingDisks
    case slowWork, poison
    case slowNodes, failingTrainers, lies, twins, moods, operators, vandals, secondCentral
  }

  struct Push {
    var task: TaskID
    var specification: TaskSpecification
    var at: Int64
  }

  let seed: UInt64
  var plan: WorldPlan
  var pushes: [Push] = []
  var troubles: Set<Trouble> = []
  /// Milliseconds during which faults happen.
  var faulty: Int64
  /// Mean milliseconds between two faults.
  var pace: Int64

  init(seed: UInt64, bugs: Set<PlantedBug> = []) {
    self.seed = seed
    var random = Generator(seed: seed ^ 0x5ce0_a210)
    let regions = random.chance(0.75) ? 2 : random.chance(0.5) ? 1 : 3
    plan = WorldPlan(devices: (0..<regions).map { _ in random.within(1...3) })
    plan.ownBrokers = random.chance(0.3)
    plan.keepAlive = random.pick([3000, 6000, 10_000]) ?? 6000
    plan.devicePatience = random.pick([3000, 10_000]) ?? 3000
    plan.codes = seed % 64 == 0
    plan.bugs = bugs
    for trouble in Trouble.allCases where random.chance(0.45) { troubles.insert(trouble) }
    if troubles.contains(.twins) {
      if random.chance(0.4) { plan.twins = 1 } else { troubles.remove(.twins) }
    }
    if troubles.contains(.slowWork) { plan.slowWorkTime = 20...(random.pick([2000, 8000, 30_000]) ?? 2000) }
    if random.chance(0.8) { troubles.remove(.poison) }
    if random.chance(0.7) { troubles.remove(.secondCentral) }
    if troubles.contains(.operators) || random.chance(0.2) { plan.evaluationFails = 0.1 }
    faulty = random.within(10_000...40_000)
    pace = random.pick([700, 1500, 3000]) ?? 1500
    let devices = plan.devices.reduce(0, +)
    for index in 0..<(random.chance(0.3) ? 2 : 1) {
      pushes.append(
        Push(
          task: TaskID(unchecked: index == 0 ? "digits" : "other"), specification: Self.specification(devices, regions, &random),
          at: random.within(500...6000)))
    }
  }

  private static func specification(_ devices: Int, _ regions: Int, _ random: inout Generator) -> TaskSpecification {
    let size = random.within(1...max(1, devices))
    let minimum = random.within(1...size)
    var cohort = CohortSpecification(
      size: size, minimum: minimum, ready: random.chance(0.15) ? 0.5 : 0, over: random.pick([1, 1, 1.2, 1.5]) ?? 1,
      seconds: Double(random.within(8...25)), selection: random.chance(0.3) ? .load : .random)
    if regions == 1 { cohort.minimum = min(cohort.minimum, max(1, devices - 1)) }
    return TaskSpecification(
      name: "digits", model: ModelSpecification(type: "softmax", input: [1, 8, 8], classes: 10),
      regions: Array(WorldPlan.regionNames.prefix(regions)), rounds: random.within(1...3), cohort: cohort,
      evaluate: EvaluationSpecification(
        every: random.chance(0.8) ? 1 : 2, devices: random.chance(0.6), seconds: Double(random.within(3...12))),
      stop: random.chance(0.1) ? StopSpecification(metric: "accuracy", at: nil, patience: 1) : nil,
      upload: random.chance(0.4) ? .region : .central,
      keep: KeepSpecification(updates: random.within(0...2), checkpoints: random.within(1...3)), maxAttempts: 20, validSeconds: 3600)
  }

  func has(_ trouble: Trouble) -> Bool { troubles.contains(trouble) }
}
