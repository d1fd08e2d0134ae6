internal import Glibc

extension SafetensorsHeader {
  /// Reads and checks the header of a file without mapping it, for files that another program may truncate meanwhile: a truncated mapping
  /// would end this process.
  package init(readingFile path: String, maximumLength: Int = defaultMaximumLength) throws(SafetensorsError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .system(action: "open", path: path, code: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .system(action: "examine", path: path, code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile(path: path) }
    let prefix = try Self.read(descriptor, 8, path)
    guard prefix.count == 8 else { throw .tooShort(bytes: prefix.count) }
    let length = prefix.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
    let limit = max(0, min(maximumLength, Self.absoluteMaximumLength))
    guard length <= UInt64(limit) else { throw .headerTooLong(bytes: length, limit: limit) }
    let bytes = try Self.read(descriptor, 8 + Int(length), path)
    let size = max(bytes.count, Int(status.st_size))
    self = try bytes.withRawBytes { (raw) throws(SafetensorsError) in
      try SafetensorsHeader(parsing: raw, fileByteCount: size, maximumLength: maximumLength)
    }
  }

  /// The first `count` bytes of a file, or all of a shorter one.
  private static func read(_ descriptor: Int32, _ count: Int, _ path: String) throws(SafetensorsError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let more = bytes.withUnsafeMutableBytes { buffer in
        buffer.baseAddress.map { pread(descriptor, $0 + done, count - done, off_t(done)) } ?? 0
      }
      if more < 0, errno == EINTR { continue }
      guard more >= 0 else { throw .system(action: "read", path: path, code: errno) }
      if more == 0 { break }
      done += more
    }
    return Array(bytes[..<done])
  }
}
