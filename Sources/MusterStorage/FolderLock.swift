import Glibc

/// Keeps a second process out of a state folder, for as long as it lives: the kernel drops the lock with the process.
final class FolderLock: Sendable {
  private let descriptor: Int32

  init(folder: String) throws(StorageError) {
    let path = "\(folder)/lock"
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw StorageError(errno, "\(path) cannot be opened") }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      var text = [UInt8](repeating: 0, count: 20)
      let count = pread(descriptor, &text, text.count, 0)
      close(descriptor)
      guard code == EWOULDBLOCK else { throw StorageError(code, "\(path) cannot be locked") }
      let pid = String(decoding: text.prefix(max(count, 0)), as: UTF8.self).filter(\.isNumber)
      throw .busy(
        "the state folder \(folder) is in use by process \(pid.isEmpty ? "(unknown)" : pid): stop it, or set another state folder")
    }
    let text = Array("\(getpid())\n".utf8)
    ftruncate(descriptor, 0)
    // Only for the message above.
    _ = pwrite(descriptor, text, text.count, 0)
  }

  deinit { close(descriptor) }
}
