import Glibc
import MusterSchema
import TestSupport
import Testing

@testable import MusterAgent

@Suite struct ResourceProbeTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func write(_ files: [String: String]) throws {
    for (path, text) in files {
      try Files.makeFolder("\(folder.path)/\(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])")
      try folder.write(text, to: path)
    }
  }

  private var probe: ResourceProbe {
    ResourceProbe(proc: folder.file("proc"), sys: folder.file("sys"), folder: folder.path)
  }

  @Test("Load, memory and processors are read from /proc")
  func proc() throws {
    try write([
      "proc/loadavg": "0.52 0.58 0.59 1/389 12345\n",
      "proc/meminfo": "MemTotal:       8000000 kB\nMemFree:  100 kB\nMemAvailable:    2097152 kB\n",
      "proc/self/status": "Name:\tx\nCpus_allowed:\t00000000,0000000f\nCpus_allowed_list:\t0-3\n",
    ])
    let resources = probe.look()
    #expect(resources.load == 0.52)
    #expect(resources.memoryMiB == 2048)
    #expect(resources.cores == 4)
    #expect((resources.diskMiB ?? 0) > 0)
  }

  @Test("The emptiest battery counts, a mouse's does not, and a plugged-in supply is mains power")
  func power() throws {
    let root = "sys/class/power_supply"
    try write([
      "\(root)/BAT0/type": "Battery\n", "\(root)/BAT0/capacity": "81\n", "\(root)/BAT0/status": "Discharging\n",
      "\(root)/BAT1/type": "Battery\n", "\(root)/BAT1/capacity": "40\n", "\(root)/BAT2/type": "Battery\n",
      "\(root)/BAT2/present": "0\n", "\(root)/BAT2/capacity": "0\n", "\(root)/hid/type": "Battery\n",
      "\(root)/hid/scope": "Device\n", "\(root)/hid/capacity": "3\n",
    ])
    #expect(probe.look().battery == 40)
    #expect(probe.look().mains == false)
    try write(["\(root)/AC/type": "Mains\n", "\(root)/AC/online": "1\n"])
    #expect(probe.look().mains == true)
  }

  @Test("The hottest zone counts, and zones that are not wired do not")
  func thermal() throws {
    try write([
      "sys/class/thermal/thermal_zone0/temp": "48300\n", "sys/class/thermal/thermal_zone1/temp": "61000\n",
      "sys/class/thermal/thermal_zone2/temp": "-274000\n", "sys/class/thermal/thermal_zone3/temp": "nonsense\n",
      "sys/class/thermal/cooling_device0/temp": "99000\n",
    ])
    #expect(probe.look().celsius == 61)
  }

  @Test("What Linux does not show is left out")
  func nothing() throws {
    try write(["proc/loadavg": "garbage\n", "proc/meminfo": "MemAvailable: lots\n"])
    #expect(probe.look() == Resources(diskMiB: probe.look().diskMiB))
  }

  @Test("The real machine has a load, memory and processors")
  func real() {
    let resources = ResourceProbe(folder: folder.path).look()
    #expect(resources.load != nil)
    #expect((resources.memoryMiB ?? 0) > 0)
    #expect((resources.cores ?? 0) > 0)
  }

  @Test(
    "Small steps are no news, noticeable ones are",
    arguments: [
      (Resources(load: 1), Resources(load: 1.3), false), (Resources(load: 1), Resources(load: 1.6), true),
      (Resources(memoryMiB: 1000), Resources(memoryMiB: 1050), false), (Resources(memoryMiB: 1000), Resources(memoryMiB: 1200), true),
      (Resources(memoryMiB: 100_000), Resources(memoryMiB: 95_000), false), (Resources(battery: 50), Resources(battery: 47), false),
      (Resources(battery: 50), Resources(battery: 45), true), (Resources(mains: true), Resources(mains: false), true),
      (Resources(battery: 50), Resources(), true), (Resources(celsius: 50), Resources(celsius: 54), false),
    ])
  func noticeable(one: Resources, two: Resources, expected: Bool) {
    #expect(two.differsNoticeably(from: one) == expected)
  }
}
