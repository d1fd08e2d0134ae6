extension Store {
  /// A folder for files that are being made: on the same file system as the blobs, so that a finished one is adopted by a rename.
  package func workFolder() throws(StorageError) -> String {
    let path = "\(folder)/work"
    try makeFolder(path)
    return path
  }
}
