/// A node or a coordinator: `north`, `pi-1`, `central`.
public struct NodeID: Identifier {
  public static var noun: String { "node id" }
  public let rawValue: String
  public init(unchecked rawValue: String) { self.rawValue = rawValue }

  /// The root coordinator's id, which no other node may take.
  public static let central = NodeID(unchecked: "central")
}
