/// A round's two phases.
package enum Phase: String, Codable, Hashable, Sendable, CaseIterable { case train, evaluate }
