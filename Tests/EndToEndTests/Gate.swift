import FoundationEssentials
import Glibc
import TestSupport

/// A trainer that waits until the test lets it train, so that a round lasts exactly as long as the test needs, without timing guesses.
///
/// It reports its start with a line in the file `begun/DEVICE.TASK.ROUND`, keeps a copy of its job folder under `jobs/DEVICE`, and waits
/// for the file `open` or `open-DEVICE`. Then `muster-train` does the job. Evaluations do not wait.
struct Gate: Sendable {
  let folder: String

  static let script = """
    #!/bin/sh
    gate=$1 device=$2 train=$3 job=$4
    field() { sed -n "s/.*\\"$1\\":\\"\\{0,1\\}\\([a-z0-9-]*\\).*/\\1/p" "$job/task.json"; }
    if [ "$(field job)" = train ]; then
      echo '{"progress":0.1}'
      mkdir -p "$gate/jobs/$device" && cp -RL "$job" "$gate/jobs/$device/$(field task).$(field round)"
      echo begun >> "$gate/begun/$device.$(field task).$(field round)"
      until [ -e "$gate/open" ] || [ -e "$gate/open-$device" ]; do
        [ -d "$gate" ] || exit 1
        sleep 0.05
      done
    fi
    exec "$train" "$job"

    """

  init(folder: String) throws {
    self.folder = folder
    try FileManager.default.createDirectory(atPath: "\(folder)/begun", withIntermediateDirectories: true)
  }

  /// Lets all devices train, or only the given ones.
  func open(_ devices: String...) throws {
    for name in devices.isEmpty ? ["open"] : devices.map({ "open-\($0)" }) { try Data().write(to: URL(filePath: "\(folder)/\(name)")) }
  }

  /// Makes trainers that start from now on wait again.
  func close() throws {
    for entry in try FileManager.default.contentsOfDirectory(atPath: folder) where entry.hasPrefix("open") {
      try FileManager.default.removeItem(atPath: "\(folder)/\(entry)")
    }
  }

  /// The devices that have begun to train this round of a task, sorted.
  func begun(_ task: String, round: Int) -> [String] {
    let entries: [String]
    do {
      entries = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/begun")
    } catch {
      return []
    }
    return entries.filter { $0.hasSuffix(".\(task).\(round)") }.compactMap { $0.split(separator: ".").first.map(String.init) }.sorted()
  }

  /// How often a device has begun to train this round.
  func times(_ device: String, _ task: String, round: Int) -> Int {
    do {
      return try String(contentsOfFile: "\(folder)/begun/\(device).\(task).\(round)", encoding: .utf8).count { $0 == "\n" }
    } catch {
      return 0
    }
  }

  /// The copy of a device's job folder, as its agent made it.
  func job(_ device: String, _ task: String, round: Int) -> String { "\(folder)/jobs/\(device)/\(task).\(round)" }

  /// Waits until `count` devices have begun to train.
  @discardableResult
  func waitForTrainers(_ count: Int, _ task: String, round: Int, within timeout: Duration = .seconds(20)) async throws -> [String] {
    guard try await eventually(within: timeout, every: .milliseconds(20), { begun(task, round: round).count >= count }) else {
      throw TestSupportError("only \(begun(task, round: round)) of \(count) devices began to train round \(round) of \(task)")
    }
    return begun(task, round: round)
  }

  /// The running trainers of this gate, without their guards.
  var processes: [Int32] {
    let entries: [String]
    do {
      entries = try FileManager.default.contentsOfDirectory(atPath: "/proc")
    } catch {
      return []
    }
    return entries.compactMap { Int32($0) }.filter { pid in
      let file = Glibc.open("/proc/\(pid)/cmdline", O_RDONLY | O_CLOEXEC)
      guard file >= 0 else { return false }
      defer { Glibc.close(file) }
      var bytes = [UInt8](repeating: 0, count: 4096)
      let count = read(file, &bytes, bytes.count)
      guard count > 0, String(decoding: bytes[..<count], as: UTF8.self).contains("gated-trainer\0\(folder)\0") else { return false }
      // A process that has ended in the meantime has no name any more.
      return (try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)) != "muster-guard\n"
    }
  }

  /// Ends the trainers whose agents were killed and could not end them.
  func killLeftovers() { for pid in processes { kill(pid, SIGKILL) } }
}
