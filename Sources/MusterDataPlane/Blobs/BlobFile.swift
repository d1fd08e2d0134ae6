import Glibc
import Hummingbird
import MusterGround
import MusterSchema
import MusterServer
import NIOCore

/// An open blob. Its bytes stay readable even if the blob is removed.
final class BlobFile: Sendable {
  let size: Int
  private let descriptor: Int32

  init(_ path: String) throws(Problem) {
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw errno == ENOENT
        ? .notFound("this server no longer has the blob") : Problem(.unavailable, "the blob cannot be read at the moment")
    }
    var status = stat()
    size = fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
  }

  deinit { close(descriptor) }

  /// The body with a range of bytes. A small range is read at once, a large one in pieces as the client reads, so that memory is bounded.
  func body(_ range: Range<Int>) throws -> ResponseBody {
    if range.count <= pieceSize { return ResponseBody(byteBuffer: try read(range)) }
    return ResponseBody(contentLength: range.count) { writer in
      var rest = range
      while !rest.isEmpty {
        let piece = rest.prefix(pieceSize)
        // Reading from a disk may block, so it must not run on a cooperative thread.
        try await writer.write(await offload { () throws(BlobError) in try self.read(piece) })
        rest = piece.upperBound..<rest.upperBound
      }
      try await writer.finish(nil)
    }
  }

  private func read(_ range: Range<Int>) throws(BlobError) -> ByteBuffer {
    var buffer = ByteBufferAllocator().buffer(capacity: range.count)
    let count = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: range.count) { bytes in
      var done = 0
      while done < range.count {
        let count = pread(descriptor, bytes.baseAddress.map { $0 + done }, range.count - done, off_t(range.lowerBound + done))
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { break }
        done += count
      }
      return done
    }
    // The head has announced more bytes, so the client can only be told by closing the connection.
    guard count == range.count else { throw BlobError() }
    return buffer
  }
}

/// Bytes are read and sent in pieces of this size.
private let pieceSize = 256 << 10

/// The error of a blob that could not be read to its end.
struct BlobError: Error {}
