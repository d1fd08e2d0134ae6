import Glibc
import MusterGround

/// The memory and processor time that control groups leave to this process: the group of its unit or container, and every group above it.
///
/// Handles version 2 (one hierarchy below `/sys/fs/cgroup`), version 1 (one for each controller), and both at once. A container often sees
/// its own group as the root of the hierarchy, while `/proc/self/cgroup` gives the name that the host uses. So the root is always read, and
/// every level of the named path that exists.
struct ControlGroups {
  /// The folders of the two file systems, `/proc` and `/sys`.
  let proc: String
  let sys: String

  /// The bytes that the tightest group still allows; `nil` when no group limits memory.
  var memoryLeft: Int? {
    let left = levels("memory").compactMap { level -> Int? in
      let limits = ["memory.max", "memory.high", "memory.limit_in_bytes"].compactMap { number("\(level)/\($0)") }
      // Version 1 expresses "no limit" as a number near 2^63.
      guard let limit = limits.filter({ $0 >= 0 }).min(), limit < 1 << 60 else { return nil }
      let used = max(0, number("\(level)/memory.current") ?? number("\(level)/memory.usage_in_bytes") ?? 0)
      // Inactive file pages count as free, because the kernel gives them back when memory is needed.
      let reclaimable = statistic("total_inactive_file", level) ?? statistic("inactive_file", level) ?? 0
      return max(0, limit - max(0, used - min(used, reclaimable)))
    }
    return left.min()
  }

  /// The processor time that the tightest group allows, in whole processors and at least one; `nil` when no group limits it.
  var processors: Int? {
    let shares = levels("cpu").compactMap { level -> Int? in
      let quota: Int
      let period: Int
      if let words = Self.text("\(level)/cpu.max")?.split(separator: " ") {
        guard words.count == 2, let first = Int(words[0]), let second = Int(words[1]) else { return nil }
        (quota, period) = (first, second)
      } else {
        guard let first = number("\(level)/cpu.cfs_quota_us"), let second = number("\(level)/cpu.cfs_period_us") else { return nil }
        (quota, period) = (first, second)
      }
      guard quota > 0, period > 0 else { return nil }
      return max(1, quota / period)
    }
    return shares.min()
  }

  /// The folders of the process's groups for a controller, and of all groups above them.
  private func levels(_ controller: String) -> [String] {
    var levels: [String] = []
    for line in Self.text("\(proc)/self/cgroup")?.split(separator: "\n") ?? [] {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let controllers = fields[1].split(separator: ",")
      let mounts: [String]
      if fields[0] == "0", controllers.isEmpty {
        mounts = ["\(sys)/fs/cgroup", "\(sys)/fs/cgroup/unified"]
      } else if controllers.contains(where: { $0 == controller }) {
        mounts = ["\(sys)/fs/cgroup/\(fields[1])", "\(sys)/fs/cgroup/\(controller)"]
      } else {
        continue
      }
      // A group outside of the process's own namespace is shown as `/..`, and cannot be read.
      let names = fields[2].split(separator: "/").filter { $0 != ".." && $0 != "." }
      for mount in mounts {
        levels += (0...min(names.count, 64)).map { ([mount] + names.prefix($0).map(String.init)).joined(separator: "/") }
      }
    }
    return levels
  }

  private func statistic(_ name: String, _ level: String) -> Int? {
    for line in Self.text("\(level)/memory.stat")?.split(separator: "\n") ?? [] {
      let words = line.split(separator: " ")
      if words.count == 2, words[0] == name { return Int(words[1]).flatMap { $0 >= 0 ? $0 : nil } }
    }
    return nil
  }

  /// The number in a file; `nil` when the file is missing or holds `max`.
  private func number(_ path: String) -> Int? { Self.text(path).flatMap { Int($0) } }

  /// The content of a small file without trailing white space; `nil` when it cannot be read.
  static func text(_ path: String) -> String? {
    do {
      let bytes = try Files.read(path, atMost: 64 << 10)
      return String(decoding: bytes.reversed().drop { $0 <= 0x20 }.reversed(), as: UTF8.self)
    } catch {
      return nil
    }
  }
}
