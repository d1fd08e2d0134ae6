import Glibc
import MusterGround
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

  private static let machine = [
    "proc/meminfo": "MemAvailable:    20971520 kB\n", "proc/self/status": "Cpus_allowed:\tffff\n",
  ]

  @Test("In a unit or container of version 2, the tightest group around the process counts, without what the kernel can take back")
  func unified() throws {
    try write(Self.machine)
    try write([
      "proc/self/cgroup": "0::/system.slice/muster-agent.service\n", "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
      "sys/fs/cgroup/system.slice/memory.max": "\(300 << 20)\n", "sys/fs/cgroup/system.slice/memory.current": "\(10 << 20)\n",
      "sys/fs/cgroup/system.slice/cpu.max": "350000 100000\n",
      "sys/fs/cgroup/system.slice/muster-agent.service/memory.max": "\(200 << 20)\n",
      "sys/fs/cgroup/system.slice/muster-agent.service/memory.current": "\(80 << 20)\n",
      "sys/fs/cgroup/system.slice/muster-agent.service/memory.stat": "anon 1\ninactive_file \(30 << 20)\nactive_file 5\n",
      "sys/fs/cgroup/system.slice/muster-agent.service/cpu.max": "max 100000\n",
    ])
    #expect(probe.look().memoryMiB == 150)
    #expect(probe.look().cores == 3)
    try write(["sys/fs/cgroup/system.slice/memory.current": "\(260 << 20)\n"])
    #expect(probe.look().memoryMiB == 40, "its parent is nearly full")
    try write(["sys/fs/cgroup/system.slice/muster-agent.service/memory.high": "\(60 << 20)\n"])
    #expect(probe.look().memoryMiB == 10, "beyond `high` a process is slowed down until it stands")
    try write(["sys/fs/cgroup/system.slice/muster-agent.service/cpu.max": "50000 100000\n"])
    #expect(probe.look().cores == 1, "half a processor is one that is slow")
  }

  @Test("In a container of version 1, whose own group is the root of what it sees")
  func version1() throws {
    try write(Self.machine)
    try write([
      "proc/self/cgroup": "5:memory:/docker/0af3\n4:cpu,cpuacct:/docker/0af3\n1:name=systemd:/docker/0af3\n0::/docker/0af3\n",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": "\(200 << 20)\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "\(90 << 20)\n",
      "sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file \(40 << 20)\n",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    ])
    #expect(probe.look().memoryMiB == 150)
    #expect(probe.look().cores == 2)
  }

  @Test("Groups without limits, or that make no sense, change nothing")
  func unlimited() throws {
    try write(Self.machine)
    try write([
      "proc/self/cgroup": "5:memory:/a\n4:cpu:/a\n0::/../../b\nnonsense\n:::\n",
      "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "-1x\n",
      "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
      "sys/fs/cgroup/b/memory.max": "max\n", "sys/fs/cgroup/b/cpu.max": "0 0\n", "sys/fs/cgroup/cpu.max": "99999999999999999999 1\n",
      "sys/fs/cgroup/memory.max": "-5\n",
    ])
    #expect(probe.look().memoryMiB == 20480)
    #expect(probe.look().cores == 16)
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
