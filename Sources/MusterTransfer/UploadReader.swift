import Glibc
import MusterGround
package import MusterSchema

/// The source of an upload: a few bytes in memory, followed by a file from an offset to its end.
///
/// It lets an agent put its own safetensors header before the tensor bytes that a trainer wrote, without copying the file.
package struct UploadSource: Hashable, Sendable {
  package var head: [UInt8]
  package var file: String
  /// The number of bytes at the beginning of the file to skip.
  package var offset: Int

  package init(file: String, offset: Int = 0, head: [UInt8] = []) {
    self.head = head
    self.file = file
    self.offset = offset
  }

  /// Reads the whole source to compute the digest that the upload declares, and the size in bytes. Blocks while it reads.
  package func measure() throws(TransferError) -> (digest: Digest, bytes: Int) {
    let reader = try UploadReader(self)
    var hasher = Digest.Hasher()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    var position: Int64 = 0
    while true {
      let count = reader.read(into: buffer, at: position)
      guard count >= 0 else { throw .file(FileError(.read, file, errno)) }
      guard count > 0 else { break }
      hasher.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      position += Int64(count)
    }
    return (hasher.finish(), Int(position))
  }
}

/// An open ``UploadSource``. Every read names its position, so threads share no mutable state.
final class UploadReader: Sendable {
  let file: String
  private let head: [UInt8]
  private let descriptor: Int32
  private let offset: Int64
  /// The number of bytes that are sent in all.
  let size: Int64

  init(_ source: UploadSource) throws(TransferError) {
    head = source.head
    file = source.file
    offset = Int64(source.offset)
    descriptor = open(source.file, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .file(FileError(.opened, source.file, errno)) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      let error = FileError(.read, source.file, errno)
      close(descriptor)
      throw .file(error)
    }
    guard source.offset >= 0, status.st_size >= source.offset else {
      close(descriptor)
      throw .io("\(source.file) has \(status.st_size) bytes, so it cannot be sent from byte \(source.offset) on")
    }
    size = Int64(source.head.count) + Int64(status.st_size) - Int64(source.offset)
  }

  deinit { close(descriptor) }

  /// - Returns: the number of bytes read, 0 at the end, or -1 with `errno` set.
  func read(into buffer: UnsafeMutableRawBufferPointer, at position: Int64) -> Int {
    let limit = min(Int64(buffer.count), size - position)
    guard limit > 0, let base = buffer.baseAddress else { return 0 }
    if position < head.count {
      let count = min(head.count - Int(position), Int(limit))
      head.withUnsafeBytes { buffer.copyBytes(from: $0[Int(position)..<(Int(position) + count)]) }
      return count
    }
    while true {
      let count = pread(descriptor, base, Int(limit), off_t(offset + position - Int64(head.count)))
      if count >= 0 || errno != EINTR { return count }
    }
  }
}
