package import MusterSchema

/// Derives seeds from seeds. The machines draw no randomness of their own, so the same inputs give the same cohort in every process.
///
/// The mixing is SplitMix64's (Steele, Lea and Flood, 2014) over an FNV-1a hash of the string.
package enum Seeds {
  /// The seed of a round's phase. It derives from the task's own seed, not from its id, so that a task that is pushed again runs alike.
  package static func phase(_ local: LocalTraining, round: Int, _ phase: Phase) -> UInt64 {
    derive(local.seed, "\(round)/\(phase.rawValue)")
  }

  /// The seed that one device trains with. It includes the device's path, so that no two devices take their samples in the same order.
  package static func device(_ seed: UInt64, _ path: NodePath) -> UInt64 { derive(seed, path.description) }

  package static func derive(_ seed: UInt64, _ text: String) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325 ^ seed
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return mix(hash &+ 0x9e37_79b9_7f4a_7c15)
  }

  /// A fraction in 0..<1 that depends only on the seed and the string.
  package static func fraction(_ seed: UInt64, _ text: String) -> Double { Double(derive(seed, text)) / Double(UInt64(1) << 53) }

  /// The nodes in a seeded shuffle that depends only on the seed, not on the order in which the nodes are given.
  package static func shuffled(_ nodes: some Sequence<NodeID>, seed: UInt64) -> [NodeID] {
    nodes.map { (derive(seed, $0.rawValue), $0) }.sorted { $0 < $1 }.map(\.1)
  }

  private static func mix(_ value: UInt64) -> UInt64 {
    var z = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    // A program that reads JSON numbers as doubles keeps 53 bits of them, so a seed that is sent has at most 53.
    return (z ^ (z >> 31)) >> 11
  }
}
