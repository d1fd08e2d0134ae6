import Glibc
import MusterGround
package import MusterSchema

/// Reads the device's free resources from Linux's files. A file that is missing or cannot be parsed leaves its value out.
package struct ResourceProbe: Sendable {
  /// The folders of the two file systems. Tests use others.
  package var proc: String
  package var sys: String
  /// The folder whose free space is measured.
  package var folder: String

  package init(proc: String = "/proc", sys: String = "/sys", folder: String) {
    self.proc = proc
    self.sys = sys
    self.folder = folder
  }

  package func look() -> Resources {
    let (battery, mains) = power()
    return Resources(
      cores: cores(), load: load(), memoryMiB: memoryMiB(), diskMiB: diskMiB(), battery: battery, mains: mains, celsius: celsius())
  }

  private var groups: ControlGroups { ControlGroups(proc: proc, sys: sys) }

  /// The smaller of the number of processors that this process may run on and the processor time that its control groups allow.
  private func cores() -> Int? { [allowedProcessors(), groups.processors].compactMap(\.self).min() }

  /// Counts the bits of `Cpus_allowed`, a mask in hexadecimal words.
  private func allowedProcessors() -> Int? {
    for line in text("\(proc)/self/status")?.split(separator: "\n") ?? [] where line.hasPrefix("Cpus_allowed:") {
      let count = line.dropFirst(13).compactMap(\.hexDigitValue).reduce(0) { $0 + $1.nonzeroBitCount }
      return count > 0 ? count : nil
    }
    return nil
  }

  private func load() -> Double? {
    text("\(proc)/loadavg")?.split(separator: " ").first.flatMap { Double($0) }.flatMap { $0.isFinite && $0 >= 0 ? $0 : nil }
  }

  /// The smaller of the machine's available memory and the memory that the control groups leave.
  private func memoryMiB() -> Int? { [availableMiB(), groups.memoryLeft.map { $0 >> 20 }].compactMap(\.self).min() }

  private func availableMiB() -> Int? {
    for line in text("\(proc)/meminfo")?.split(separator: "\n") ?? [] where line.hasPrefix("MemAvailable:") {
      return line.split(separator: " ").dropFirst().first.flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 / 1024 : nil }
    }
    return nil
  }

  private func diskMiB() -> Int? {
    var status = statvfs()
    guard statvfs(folder, &status) == 0 else { return nil }
    return Int(clamping: (UInt64(status.f_bavail) * UInt64(status.f_frsize)) >> 20)
  }

  /// The charge of the device's emptiest battery, and whether the device is connected to a power supply.
  private func power() -> (battery: Int?, mains: Bool?) {
    let root = "\(sys)/class/power_supply"
    var charges: [Int] = []
    var supplies: [Bool] = []
    var isDischarging: Bool?
    for name in Files.names(in: root) {
      let supply = "\(root)/\(name)"
      // A peripheral such as a mouse has a battery, too, with the scope "Device".
      guard text("\(supply)/scope") != "Device" else { continue }
      switch text("\(supply)/type") {
      case "Battery":
        guard text("\(supply)/present") != "0", let charge = number("\(supply)/capacity"), (0...100).contains(charge) else { continue }
        charges.append(charge)
        if let status = text("\(supply)/status"), status != "Unknown" {
          isDischarging = (isDischarging ?? false) || status == "Discharging"
        }
      case "Mains", "USB", "Wireless":
        if let online = number("\(supply)/online") { supplies.append(online > 0) }
      default: continue
      }
    }
    let mains = supplies.isEmpty ? isDischarging.map { !$0 } : supplies.contains(true)
    return (charges.min(), mains)
  }

  private func celsius() -> Double? {
    let root = "\(sys)/class/thermal"
    let zones = Files.names(in: root).filter { $0.hasPrefix("thermal_zone") }
    let readings = zones.compactMap { number("\(root)/\($0)/temp") }.map { Double($0) / 1000 }
    // Some zones report -274 or 255 when no sensor is connected.
    return readings.filter { (-60...200).contains($0) }.max()
  }

  private func number(_ path: String) -> Int? { text(path).flatMap { Int($0) } }

  private func text(_ path: String) -> String? { ControlGroups.text(path) }
}

extension Resources {
  /// Whether the difference is large enough for a message. Without such a difference, an idle device publishes nothing.
  package func differsNoticeably(from other: Resources) -> Bool {
    func differs(_ one: Double?, _ two: Double?, by step: Double, or fraction: Double = 0) -> Bool {
      guard let one, let two else { return (one == nil) != (two == nil) }
      return abs(one - two) >= max(step, fraction * max(abs(one), abs(two)))
    }
    return cores != other.cores || mains != other.mains || differs(load, other.load, by: 0.5, or: 0.25)
      || differs(memoryMiB.map(Double.init), other.memoryMiB.map(Double.init), by: 64, or: 0.1)
      || differs(diskMiB.map(Double.init), other.diskMiB.map(Double.init), by: 256, or: 0.1)
      || differs(battery.map(Double.init), other.battery.map(Double.init), by: 5) || differs(celsius, other.celsius, by: 5)
  }
}

/// The minute of the day on the device's clock, local time.
enum LocalTime {
  static var minute: Int {
    var seconds = time(nil)
    var parts = tm()
    localtime_r(&seconds, &parts)
    return Int(parts.tm_hour) * 60 + Int(parts.tm_min)
  }
}
