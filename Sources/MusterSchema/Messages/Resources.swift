/// What a device has left, as Linux shows it. Absent where Linux does not.
package struct Resources: Codable, Hashable, Sendable {
  /// Processors that the agent may use.
  package var cores: Int?
  /// The one-minute load average.
  package var load: Double?
  /// Memory available, MiB.
  package var memoryMiB: Int?
  /// Free space where the agent keeps its state, MiB.
  package var diskMiB: Int?
  /// Battery charge, 0–100; absent without a battery.
  package var battery: Int?
  /// True on mains power; absent where unknown.
  package var mains: Bool?
  /// The hottest thermal zone, °C.
  package var celsius: Double?

  package init(
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
