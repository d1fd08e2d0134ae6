import Glibc
package import MusterSchema

extension Digest {
  /// The digest of a file. Reads the whole file, so do not call it on a cooperative thread.
  package init(ofFile path: String) throws(StorageError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw StorageError(errno, "\(path) cannot be read") }
    defer { close(descriptor) }
    self = try Self.measure(descriptor, path) { _ in }
  }

  /// Reads an open file to its end.
  ///
  /// - Parameter each: is called with each piece.
  static func measure(
    _ descriptor: Int32, _ path: String, _ each: (UnsafeRawBufferPointer) throws(StorageError) -> Void
  ) throws(StorageError) -> Digest {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    var hasher = Digest.Hasher()
    while true {
      let count = read(descriptor, buffer.baseAddress, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw StorageError(errno, "\(path) cannot be read") }
      guard count > 0 else { return hasher.finish() }
      let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
      hasher.update(bytes)
      try each(bytes)
    }
  }
}
