import FoundationEssentials
import Synchronization
import TestSupport
import Testing

/// The running fleets, so that a failed expectation can show their logs.
final class FleetRegistry: Sendable {
  static let shared = FleetRegistry()
  private let fleets = Mutex<[ObjectIdentifier: Fleet]>([:])

  func add(_ fleet: Fleet) { fleets.withLock { $0[ObjectIdentifier(fleet)] = fleet } }
  func remove(_ fleet: Fleet) { _ = fleets.withLock { $0.removeValue(forKey: ObjectIdentifier(fleet)) } }
  var running: [Fleet] { fleets.withLock { Array($0.values) } }
}

extension Trait where Self == IssueHandlingTrait {
  /// Keeps the logs of the fleet if an expectation fails.
  static var keepingLogs: Self {
    .compactMapIssues { issue in
      for fleet in FleetRegistry.shared.running { fleet.keepLogs(because: "an expectation failed") }
      return issue
    }
  }
}

extension Fleet {
  /// Copies the logs to a permanent folder, and prints the last lines of each. Only the first call does so.
  func keepLogs(because reason: String) {
    guard
      logsKept.withLock({ kept in
        defer { kept = true }
        return !kept
      })
    else { return }
    let target = "\(FileManager.default.temporaryDirectory.path)/muster-endtoend-logs/\(folder.path.split(separator: "/").last ?? "fleet")"
    do {
      if FileManager.default.fileExists(atPath: target) { try FileManager.default.removeItem(atPath: target) }
      try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
      for entry in try FileManager.default.contentsOfDirectory(atPath: folder.file("logs")) {
        try FileManager.default.copyItem(atPath: folder.file("logs/\(entry)"), toPath: "\(target)/\(entry)")
      }
    } catch {
      print("the logs were not kept: \(error)")
    }
    print("—— \(reason). The logs are in \(target); their ends:")
    for name in names {
      let lines = log(name).split(separator: "\n").suffix(name == "central" ? 15 : 6)
      if !lines.isEmpty { print("—— \(name)\n" + lines.map { String($0.prefix(300)) }.joined(separator: "\n")) }
    }
  }
}
