package import MusterSchema

/// Seeds that derive from seeds: the machines draw no randomness of their own, so the same inputs give the same cohort, also in another process.
///
/// The mixing is SplitMix64's (Steele, Lea and Flood, 2014) over an FNV-1a of the text.
package enum Seeds {
  /// The seed of a round's phase: from the task's own seed, never its id, so that a task pushed again goes the same way.
  package static func phase(_ local: LocalTraining, round: Int, _ phase: Phase) -> UInt64 {
    derive(local.seed, "\(round)/\(phase.rawValue)")
  }

  /// What one device trains with: the phase's seed and the device's path, so that no two devices take their samples in the same order.
  package static func device(_ seed: UInt64, _ path: NodePath) -> UInt64 { derive(seed, path.description) }

  package static func derive(_ seed: UInt64, _ text: String) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325 ^ seed
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return mix(hash &+ 0x9e37_79b9_7f4a_7c15)
  }

  /// A fraction in 0..<1 that the seed and the text decide.
  package static func fraction(_ seed: UInt64, _ text: String) -> Double { Double(derive(seed, text)) / Double(UInt64(1) << 53) }

  /// The nodes in an order that only the seed decides: a seeded shuffle that does not depend on the order they came in.
  package static func shuffled(_ nodes: some Sequence<NodeID>, seed: UInt64) -> [NodeID] {
    nodes.map { (derive(seed, $0.rawValue), $0) }.sorted { $0 < $1 }.map(\.1)
  }

  private static func mix(_ value: UInt64) -> UInt64 {
    var z = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    // JSON numbers keep 53 bits wherever they pass through a double: a seed that travels stays below that.
    return (z ^ (z >> 31)) >> 11
  }
}
