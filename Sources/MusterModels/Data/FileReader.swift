internal import CZlib
internal import Glibc

/// Reads a file from its start, decompressing it if it is gzip.
final class FileReader {
  let path: String
  private let file: gzFile

  init(_ path: String) throws(ModelError) {
    var status = stat()
    guard stat(path, &status) == 0 else { throw .data(file: path, "cannot be read: \(String(cString: strerror(errno)))") }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .data(file: path, "is not a regular file") }
    guard let file = gzopen(path, "rbe") else { throw .data(file: path, "cannot be opened: \(String(cString: strerror(errno)))") }
    gzbuffer(file, 1 << 17)
    self.path = path
    self.file = file
  }

  deinit { gzclose(file) }

  /// Reads up to `count` bytes; fewer only at the end of the file. Memory grows with the data that the file really has, not with `count`.
  func read(upTo count: Int) throws(ModelError) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let wanted = min(count - bytes.count, 1 << 20)
      var got: Int32 = 0
      let start = bytes.count
      bytes.append(contentsOf: repeatElement(0, count: wanted))
      bytes.withUnsafeMutableBytes { got = gzread(file, $0.baseAddress?.advanced(by: start), UInt32(wanted)) }
      if got < 0 { throw .data(file: path, "its compressed data is damaged: \(reason)") }
      bytes.removeLast(wanted - Int(got))
      if got == 0 {
        var code: Int32 = 0
        _ = gzerror(file, &code)
        if code == Z_BUF_ERROR { throw .data(file: path, "its compressed data ends too early: the file is truncated") }
        break
      }
    }
    return bytes
  }

  /// Exactly `count` bytes.
  func read(exactly count: Int, of what: String) throws(ModelError) -> [UInt8] {
    let bytes = try read(upTo: count)
    guard bytes.count == count else {
      throw .data(file: path, "is truncated: \(what) should have \(count) bytes, but only \(bytes.count) are left")
    }
    return bytes
  }

  func expectEnd() throws(ModelError) {
    guard try read(upTo: 1).isEmpty else { throw .data(file: path, "has more data than its header says") }
  }

  private var reason: String {
    var code: Int32 = 0
    return gzerror(file, &code).map { String(cString: $0) } ?? "unknown error \(code)"
  }
}
