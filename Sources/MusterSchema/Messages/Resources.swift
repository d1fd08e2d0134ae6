/// What a device has left, as Linux shows it. Absent where Linux does not.
public struct Resources: Codable, Hashable, Sendable {
  /// Processors that the agent may use.
  public var cores: Int?
  /// The one-minute load average.
  public var load: Double?
  /// Memory available, MiB.
  public var memoryMiB: Int?
  /// Free space where the agent keeps its state, MiB.
  public var diskMiB: Int?
  /// Battery charge, 0–100; absent without a battery.
  public var battery: Int?
  /// True on mains power; absent where unknown.
  public var mains: Bool?
  /// The hottest thermal zone, °C.
  public var celsius: Double?

  public init(
    cores: Int? = nil, load: Double? = nil, memoryMiB: Int? = nil, diskMiB: Int? = nil, battery: Int? = nil, mains: Bool? = nil,
    celsius: Double? = nil
  ) {
    self.cores = cores
    self.load = load
    self.memoryMiB = memoryMiB
    self.diskMiB = diskMiB
    self.battery = battery
    self.mains = mains
    self.celsius = celsius
  }
}
