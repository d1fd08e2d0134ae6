import Glibc

/// The 32 random bytes that a ledger's grants derive from: made once, readable by this user only.
enum SecretKey {
  static func load(folder: String) throws(StorageError) -> [UInt8] {
    let path = "\(folder)/secret"
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      guard errno == ENOENT else { throw StorageError(errno, "\(path) cannot be read") }
      return try make(path, in: folder)
    }
    defer { close(descriptor) }
    var key = [UInt8](repeating: 0, count: 33)
    let count = read(descriptor, &key, key.count)
    guard count == 32 else {
      throw .corrupt("\(path) must hold 32 bytes; restore it from a backup, or remove it: then tickets in flight become invalid")
    }
    return Array(key.prefix(32))
  }

  private static func make(_ path: String, in folder: String) throws(StorageError) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    let key = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
    let temporary = path + ".new"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw StorageError(errno, "\(temporary) cannot be written") }
    defer { close(descriptor) }
    try writeAll(descriptor, key, temporary)
    guard fsync(descriptor) == 0, rename(temporary, path) == 0 else { throw StorageError(errno, "\(path) cannot be written") }
    try synchronizeFolder(folder)
    return key
  }
}
