import MusterGround

extension FileLock {
  /// Takes the lock of a state folder, so that no second process uses the folder.
  static func take(folder: String) throws(StorageError) -> FileLock {
    let path = "\(folder)/lock"
    do throws(FileError) {
      if let lock = try take(path, notingProcess: true) { return lock }
    } catch {
      throw StorageError(error)
    }
    let process = holder(path).map { "\($0)" } ?? "(unknown)"
    throw .busy("the state folder \(folder) is in use by process \(process); stop that process, or use another state folder")
  }
}
