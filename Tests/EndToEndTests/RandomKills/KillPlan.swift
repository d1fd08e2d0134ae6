import TestSupport

/// The programs that a run kills, and the times. Each seed gives the same plan in every process.
struct KillPlan: Sendable {
  /// The moment of the signal.
  enum Moment: String, Sendable, CaseIterable {
    /// When the pause is over.
    case anyTime = "at any time"
    /// When a contribution has arrived completely, and is not answered yet.
    case whole = "as an upload is whole"
    /// When 201 was sent, and the client has not received it yet.
    case answered = "as 201 is said"
  }

  /// The database with which the broker starts again.
  enum Memory: String, Sendable, CaseIterable {
    /// The last snapshot, without later messages.
    case snapshot = "its last snapshot"
    /// Persistence is on, but the database was emptied while the broker was down.
    case zeroed = "a zeroed database"
    /// Persistence is off. The database is kept, so a later start with persistence finds old messages.
    case off = "no persistence"
  }

  struct Kill: Hashable, Sendable {
    /// `central`, a region, a device, or `broker`.
    var victim: String
    /// Pause before the kill.
    var pauseMilliseconds: Int
    var moment: Moment
    /// Delay from the moment to the signal, so that it hits different steps of the program.
    var delayMicroseconds: UInt32
    var downMilliseconds: Int
    var memory: Memory?
  }

  static let broker = "broker"

  let seed: UInt64
  var kills: [Kill]

  init(seed: UInt64, kills count: Int, regions: [String], devices: [String]) {
    self.seed = seed
    var generator = SeededGenerator(seed: seed)
    kills = (0..<count).map { _ in
      let victim =
        switch Int.random(in: 0..<20, using: &generator) {
        case 0..<6: "central"
        case 6..<12: regions[Int.random(in: 0..<regions.count, using: &generator)]
        case 12..<17: devices[Int.random(in: 0..<devices.count, using: &generator)]
        default: Self.broker
        }
      let moments: [Moment] = [.anyTime, .anyTime, .whole, .answered]
      return Kill(
        victim: victim, pauseMilliseconds: Int.random(in: 100...2000, using: &generator),
        moment: moments[Int.random(in: 0..<moments.count, using: &generator)],
        delayMicroseconds: UInt32.random(in: 0...30_000, using: &generator),
        // Some programs are back before others notice, and some are away longer than a client waits.
        downMilliseconds: Int.random(in: 0..<4, using: &generator) == 0
          ? Int.random(in: 1500...4000, using: &generator) : Int.random(in: 0...800, using: &generator),
        memory: victim == Self.broker ? Memory.allCases.randomElement(using: &generator) : nil)
    }
    // Every kind of program is killed, even in a short plan.
    for (index, victim) in (["central", Self.broker] + regions + devices.prefix(1)).enumerated() where index < kills.count {
      guard !kills.contains(where: { $0.victim == victim }) else { continue }
      let spare = kills.indices.last { index in kills.count(where: { $0.victim == kills[index].victim }) > 1 }
      guard let spare else { continue }
      kills[spare].victim = victim
      kills[spare].memory = victim == Self.broker ? Memory.allCases.randomElement(using: &generator) : nil
    }
  }
}
