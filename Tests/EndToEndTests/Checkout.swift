import FoundationEssentials
import Glibc
import TestSupport

/// The parts of the checkout that the tests use: the built programs, and files of the repository.
enum Checkout {
  /// The folder of the built programs: MUSTER_EXECUTABLES, or the folder of this test bundle, because one build makes both.
  static func executables() throws -> String {
    let folder: String
    if let named = ProcessInfo.processInfo.environment["MUSTER_EXECUTABLES"] {
      folder = named
    } else {
      let bundle = try real("/proc/self/exe")
      folder = String(bundle[..<(bundle.lastIndex(of: "/") ?? bundle.startIndex)])
    }
    for program in ["muster", "muster-central", "muster-region", "muster-agent", "muster-train"]
    where access("\(folder)/\(program)", X_OK) != 0 {
      throw TestSupportError("\(folder)/\(program) is missing: build the package first, or set MUSTER_EXECUTABLES")
    }
    return folder
  }

  /// The absolute path of a file of the repository.
  static func file(_ path: String) throws -> String {
    let here = try real(#filePath)
    let root = here.split(separator: "/").dropLast(3).joined(separator: "/")
    return "/\(root)/\(path)"
  }

  private static func real(_ path: String) throws -> String {
    guard let buffer = realpath(path, nil) else { throw TestSupportError("\(path): \(String(cString: strerror(errno)))") }
    defer { free(buffer) }
    return String(cString: buffer)
  }
}
