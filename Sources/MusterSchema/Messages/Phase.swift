/// The two phases of a round.
package enum Phase: String, Codable, Hashable, Sendable, CaseIterable { case train, evaluate }
