import MusterGround

extension StateFolder {
  /// Whether the state folder's file system has no room left for anything: what a program that writes there says about it is its own affair.
  package var isFull: Bool {
    Files.freeBytes(at: folder).map { $0 < Self.leastRoom } ?? false
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
    for name in Files.names(in: path) {
      if let code = Files.remove("\(path)/\(name)") { throw StorageError(code, "\(path) cannot be emptied") }
    }
  }
}
