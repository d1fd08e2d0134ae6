import FoundationEssentials
import Glibc

/// A slow disk, simulated by a library for LD_PRELOAD. The library records each fsync and fdatasync of a large file, except of databases,
/// with the name of the thread that waits. The first of these calls lasts until the test releases it.
package struct SlowDisk: Sendable {
  private let folder: TemporaryFolder
  private let library: String
  private let bytes: Int

  private static let compiler: String? = {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    return ["cc", "clang"].lazy.flatMap { name in folders.map { "\($0)/\(name)" } }.first { access($0, X_OK) == 0 }
  }()
  package static var isPossible: Bool { compiler != nil }

  /// - Parameter bytes: the size from which a file counts as large.
  package init(bytes: Int) async throws {
    folder = try TemporaryFolder()
    library = folder.file("slow.so")
    self.bytes = bytes
    guard let compiler = Self.compiler else { throw TestSupportError("there is no C compiler") }
    let arguments = ["-shared", "-fPIC", "-o", library, try folder.write(Self.source, to: "slow.c")]
    let compiling = try ChildProcess(compiler, arguments, log: folder.file("cc.log"))
    guard try await compiling.wait() == 0 else { throw TestSupportError("the C compiler: \(compiling.log)") }
    _ = try folder.write("", to: "hold")
    _ = try folder.write("", to: "threads")
  }

  package var environment: [String: String] {
    ["LD_PRELOAD": library, "SLOW_DISK": folder.path, "SLOW_DISK_BYTES": "\(bytes)"]
  }

  /// The names of the threads that waited for the disk, in order.
  package var threads: [String] {
    get throws { try String(contentsOfFile: folder.file("threads"), encoding: .utf8).split(separator: "\n").map(String.init) }
  }

  /// Whether the first flush is in progress.
  package var isHeld: Bool { access(folder.file("held"), F_OK) == 0 && access(folder.file("hold"), F_OK) == 0 }
  package func release() { unlink(folder.file("hold")) }

  private static let source = """
    #define _GNU_SOURCE
    #include <fcntl.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/prctl.h>
    #include <sys/stat.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    static void note(int file) {
      struct stat status;
      const char *folder = getenv("SLOW_DISK"), *least = getenv("SLOW_DISK_BYTES");
      char path[4096], name[4096] = "", line[17] = "";
      snprintf(path, sizeof path, "/proc/self/fd/%d", file);
      // SQLite has threads of its own.
      if (readlink(path, name, sizeof name - 1) < 0 || strstr(name, ".sqlite")) return;
      if (!folder || !least || fstat(file, &status) || !S_ISREG(status.st_mode) || status.st_size < atoll(least)) return;
      prctl(PR_GET_NAME, line);
      snprintf(path, sizeof path, "%s/threads", folder);
      int threads = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
      int length = 0;
      while (line[length]) length++;
      line[length++] = '\\n';
      if (write(threads, line, length) != length) abort();
      close(threads);
      snprintf(path, sizeof path, "%s/held", folder);
      int held = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
      if (held < 0) return;
      close(held);
      snprintf(path, sizeof path, "%s/hold", folder);
      while (!access(path, F_OK)) usleep(10000);
    }
    int fsync(int file) { note(file); return (int)syscall(SYS_fsync, file); }
    int fdatasync(int file) { note(file); return (int)syscall(SYS_fdatasync, file); }
    """
}
