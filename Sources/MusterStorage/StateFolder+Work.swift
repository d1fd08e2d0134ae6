internal import FoundationEssentials
internal import Glibc
internal import MusterSchema

extension StateFolder {
  /// Whether the state folder's file system has no room left for anything: what a program that writes there says about it is its own affair.
  package var isFull: Bool {
    var status = statvfs()
    guard statvfs(folder, &status) == 0 else { return false }
    return UInt64(status.f_bavail) * UInt64(status.f_frsize) < Self.leastRoom
  }

  private static let leastRoom: UInt64 = 1 << 20

  /// A folder for files that are being made: on the same file system as the blobs, so that a finished one is adopted by a rename.
  package func workFolder() throws(StorageError) -> String {
    let path = "\(folder)/work"
    try makeFolder(path)
    return path
  }

  /// Removes what an earlier process left half made. Call it before anything works there.
  package func emptyWorkFolder() throws(StorageError) {
    let path = try workFolder()
    do {
      for name in try FileManager.default.contentsOfDirectory(atPath: path) {
        try FileManager.default.removeItem(atPath: "\(path)/\(name)")
      }
    } catch {
      throw .io("\(path) cannot be emptied: \(systemReason(error))")
    }
  }
}
