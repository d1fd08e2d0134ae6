/// Free resources of a device, as reported by Linux. Values that Linux does not report are absent.
package struct Resources: Codable, Hashable, Sendable {
  /// Number of processors that the agent may use.
  package var cores: Int?
  /// The one-minute load average.
  package var load: Double?
  /// Memory available, MiB.
  package var memoryMiB: Int?
  /// Free space on the file system of the agent's state folder, MiB.
  package var diskMiB: Int?
  /// Battery charge, 0–100; absent without a battery.
  package var battery: Int?
  /// Whether the device is on mains power; absent if unknown.
  package var mains: Bool?
  /// The temperature of the hottest thermal zone, °C.
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
