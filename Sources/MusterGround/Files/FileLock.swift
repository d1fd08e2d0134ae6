import Glibc

/// An exclusive lock on a file. It is held until the value is released; the kernel releases it when the process ends.
package final class FileLock: Sendable {
  private let descriptor: Int32

  private init(_ descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  /// Takes the lock without waiting for it.
  ///
  /// - Parameter notingProcess: writes this process's id into the file, for ``holder(_:)``.
  /// - Returns: `nil` when another process holds the lock.
  package static func take(_ path: String, notingProcess: Bool = false) throws(FileError) -> FileLock? {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw FileError(.opened, path, errno) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      close(descriptor)
      guard code == EWOULDBLOCK else { throw FileError(.locked, path, code) }
      return nil
    }
    if notingProcess {
      let text = Array("\(getpid())\n".utf8)
      ftruncate(descriptor, 0)
      // The id is only shown to people, so a full disk does not fail the lock.
      _ = pwrite(descriptor, text, text.count, 0)
    }
    return FileLock(descriptor)
  }

  /// The id of the process that holds the lock, as that process wrote it into the file.
  package static func holder(_ path: String) -> Int32? {
    // An unreadable file leaves the holder unknown, for whatever reason it is unreadable.
    guard let bytes = try? Files.read(path, atMost: 32) else { return nil }
    return Int32(String(decoding: bytes.prefix { (0x30...0x39).contains($0) }, as: UTF8.self))
  }
}
