import FoundationEssentials
import TestSupport

/// A program's calendar time, off by as much as a test wants; how fast time passes stays the same.
struct WrongClock: Sendable {
  /// libfaketime, where Debian and its kin put it.
  static let library: String? = {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/lib64", "/usr/local/lib"]
    return folders.map { "\($0)/faketime/libfaketimeMT.so.1" }.first { FileManager.default.fileExists(atPath: $0) }
  }()

  private let file: String

  /// - Parameter offset: as `faketime` takes it: `+1d`, `-2h`.
  init(_ offset: String, in folder: TemporaryFolder) throws {
    file = folder.file("clock-\(UInt32.random(in: .min ... .max))")
    try set(offset)
  }

  /// From now on the clock shows another time.
  func set(_ offset: String) throws { try Data("\(offset)\n".utf8).write(to: URL(filePath: file), options: .atomic) }

  /// What starts a program that shall have it. Under another program of the system: libfaketime changes the environment of the first one, and
  /// Swift looks for the arguments beside it.
  var command: [String] {
    let settings = [
      "LD_PRELOAD=\(Self.library ?? "")", "FAKETIME_TIMESTAMP_FILE=\(file)", "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
      "DONT_FAKE_MONOTONIC=1",
      // Nor do files' times move when somebody sets the clock.
      "NO_FAKE_STAT=1",
    ]
    return ["/usr/bin/env"] + settings + ["/usr/bin/env"]
  }
}
