import Glibc
import MusterGround
package import MusterSchema

/// Looks at what the device has left, where Linux shows it. A file that is missing or makes no sense leaves its value out.
package struct ResourceProbe: Sendable {
  /// Roots of the two file systems: others in tests.
  package var proc: String
  package var sys: String
  /// Where free space matters.
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

  /// Processors that this process may run on, or the time of that many that its control groups leave it.
  private func cores() -> Int? { [allowedProcessors(), groups.processors].compactMap(\.self).min() }

  /// `Cpus_allowed`, a mask in hexadecimal words.
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

  /// What the machine has, or what the control groups leave of it.
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

  /// The emptiest of the device's own batteries, and whether it hangs on a supply.
  private func power() -> (battery: Int?, mains: Bool?) {
    let root = "\(sys)/class/power_supply"
    var charges: [Int] = []
    var supplies: [Bool] = []
    var isDischarging: Bool?
    for name in Files.names(in: root) {
      let supply = "\(root)/\(name)"
      // A mouse has a battery too.
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
    // Some zones say -274 or 255 when nothing is wired to them.
    return readings.filter { (-60...200).contains($0) }.max()
  }

  private func number(_ path: String) -> Int? { text(path).flatMap { Int($0) } }

  private func text(_ path: String) -> String? { ControlGroups.text(path) }
}

extension Resources {
  /// Whether the difference is worth a message: an idle device is silent.
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
