import FoundationEssentials
import Glibc
import TestSupport

/// A file system of a few MiB in memory, which a test can fill.
struct SmallDisk {
  let path: String
  private var filler: String { "\(path)/filler" }

  /// Whether it can be mounted, which needs root and a system that lets root mount.
  static let isPossible: Bool = {
    do {
      let folder = try TemporaryFolder()
      guard geteuid() == 0, mount("tmpfs", folder.path, "tmpfs", 0, "size=64k") == 0 else { return false }
      return umount2(folder.path, Int32(MNT_DETACH)) == 0
    } catch {
      return false
    }
  }()

  init(at path: String, mebibytes: Int = 3) throws {
    self.path = path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    guard mount("tmpfs", path, "tmpfs", 0, "size=\(mebibytes)m,mode=0700") == 0 else {
      throw TestSupportError("no small disk at \(path): \(String(cString: strerror(errno)))")
    }
  }

  /// Fills the file system to the last byte.
  func fill() throws {
    let file = open(filler, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw TestSupportError("\(filler): \(String(cString: strerror(errno)))") }
    defer { close(file) }
    let page = [UInt8](repeating: 1, count: 4096)
    while write(file, page, page.count) > 0 {}
    guard errno == ENOSPC else { throw TestSupportError("\(filler): \(String(cString: strerror(errno)))") }
  }

  func makeSpace() throws { try FileManager.default.removeItem(atPath: filler) }

  func unmount() throws {
    guard umount2(path, Int32(MNT_DETACH)) == 0 else {
      throw TestSupportError("\(path) stays mounted: \(String(cString: strerror(errno)))")
    }
  }
}
