import MusterGround

extension StateFolder {
  /// Whether the file system of the state folder is full. Checked here, because programs that write there each report it in their own way.
  package var isFull: Bool {
    Files.freeBytes(at: folder).map { $0 < Self.leastRoom } ?? false
  }

  private static let leastRoom: UInt64 = 1 << 20

  /// The folder for files that are being made. It is on the blobs' file system, so that a finished file is adopted by a rename.
  package func workFolder() throws(StorageError) -> String {
    let path = "\(folder)/work"
    try makeFolder(path)
    return path
  }

  /// Removes unfinished files of an earlier process. Call it before anything else uses the work folder.
  package func emptyWorkFolder() throws(StorageError) {
    let path = try workFolder()
    for name in Files.names(in: path) {
      if let code = Files.remove("\(path)/\(name)") { throw StorageError(code, "\(path) cannot be emptied") }
    }
  }
}
