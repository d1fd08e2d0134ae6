import FoundationEssentials
import TestSupport

/// A program's calendar time, off by as much as a test wants; how fast time passes stays the same.
struct WrongClock: Sendable {
  /// libfaketime, where Debian and its kin put it.
  static let library: String? = {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/lib64", "/usr/local/lib"]
    return folders.map { "\($0)/faketime/libfaketimeMT.so.1" }.first { FileManager.default.fileExists(atPath: $0) }
  }()

  /// libfaketime moves timers by its offset even when these do not follow the calendar: one of a program whose clock is a day behind would
  /// ring a day late. Loaded before it, this leaves them as they are.
  private static let timers = """
    #include <sys/syscall.h>
    #include <sys/timerfd.h>
    #include <unistd.h>
    int timerfd_settime(int timer, int flags, const struct itimerspec *value, struct itimerspec *before) {
      return (int)syscall(SYS_timerfd_settime, timer, flags, value, before);
    }
    int timerfd_gettime(int timer, struct itimerspec *value) { return (int)syscall(SYS_timerfd_gettime, timer, value); }
    """

  private let file: String
  private let preloaded: String

  /// - Parameter offset: as `faketime` takes it: `+1d`, `-2h`.
  init(_ offset: String, in folder: TemporaryFolder) async throws {
    let name = "clock-\(UInt32.random(in: .min ... .max))"
    file = folder.file(name)
    let (source, object, log) = (try folder.write(Self.timers, to: "\(name).c"), folder.file("\(name).so"), folder.file("\(name).log"))
    let compiler = try ChildProcess("clang", ["-shared", "-fPIC", "-o", object, source], log: log)
    guard try await compiler.wait() == 0 else { throw TestSupportError("clang, of the Swift toolchain, fails: \(compiler.log)") }
    preloaded = "\(object):\(Self.library ?? "")"
    try set(offset)
  }

  /// From now on the clock shows another time.
  func set(_ offset: String) throws { try Data("\(offset)\n".utf8).write(to: URL(filePath: file), options: .atomic) }

  /// What starts a program that shall have it. Under another program of the system: libfaketime changes the environment of the first one, and
  /// Swift looks for the arguments beside it.
  var command: [String] {
    let settings = [
      "LD_PRELOAD=\(preloaded)", "FAKETIME_TIMESTAMP_FILE=\(file)", "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
      "DONT_FAKE_MONOTONIC=1",
      // Nor do files' times move when somebody sets the clock.
      "NO_FAKE_STAT=1",
    ]
    return ["/usr/bin/env"] + settings + ["/usr/bin/env"]
  }
}
