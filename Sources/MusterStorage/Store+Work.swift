internal import FoundationEssentials
internal import MusterSchema

extension Store {
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
