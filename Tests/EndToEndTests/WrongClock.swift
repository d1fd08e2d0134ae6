import FoundationEssentials
import TestSupport

/// A wrong calendar time for a program. The speed of time does not change.
struct WrongClock: Sendable {
  /// The path of libfaketime in Debian and similar systems.
  static let library: String? = {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/lib64", "/usr/local/lib"]
    return folders.map { "\($0)/faketime/libfaketimeMT.so.1" }.first { FileManager.default.fileExists(atPath: $0) }
  }()

  /// A library that is loaded before libfaketime and leaves timers alone. libfaketime moves timers by its offset even if they do not follow
  /// the calendar: a timer of a program whose clock is a day behind would fire a day late.
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

  /// - Parameter offset: in the form of `faketime`: `+1d`, `-2h`.
  init(_ offset: String, in folder: TemporaryFolder) async throws {
    let name = "clock-\(UInt32.random(in: .min ... .max))"
    file = folder.file(name)
    let (source, object, log) = (try folder.write(Self.timers, to: "\(name).c"), folder.file("\(name).so"), folder.file("\(name).log"))
    let compiler = try ChildProcess("clang", ["-shared", "-fPIC", "-o", object, source], log: log)
    guard try await compiler.wait() == 0 else { throw TestSupportError("clang, of the Swift toolchain, fails: \(compiler.log)") }
    preloaded = "\(object):\(Self.library ?? "")"
    try set(offset)
  }

  /// Changes the clock from now on.
  func set(_ offset: String) throws { try Data("\(offset)\n".utf8).write(to: URL(filePath: file), options: .atomic) }

  /// The command prefix that starts a program with the wrong clock. It runs the program below another one, because libfaketime changes the
  /// environment of the first program, and Swift looks for the arguments beside it.
  var command: [String] {
    let settings = [
      "LD_PRELOAD=\(preloaded)", "FAKETIME_TIMESTAMP_FILE=\(file)", "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
      "DONT_FAKE_MONOTONIC=1",
      // File times do not move when the clock is set.
      "NO_FAKE_STAT=1",
    ]
    return ["/usr/bin/env"] + settings + ["/usr/bin/env"]
  }
}
