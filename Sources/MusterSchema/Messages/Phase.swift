/// A round's two phases.
public enum Phase: String, Codable, Hashable, Sendable, CaseIterable { case train, evaluate }
