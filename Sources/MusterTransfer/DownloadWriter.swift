import Glibc
import MusterGround
import MusterSchema
import Synchronization

/// The temporary file of a download. It continues a partial download, hashes the bytes, and is renamed only when the digest matches.
///
/// The file name contains the digest, so a partial file is only ever continued with the same bytes. A lock keeps a second download out.
final class DownloadWriter: Sendable {
  private struct State {
    var hasher: Digest.Hasher
    var written: Int64
    var failure: TransferError?
  }

  let path: String
  let expected: Digest
  let maximum: Int
  private let temporary: String
  private let descriptor: Int32
  private let state: Mutex<State>

  /// Opens the temporary file and hashes the bytes that an earlier attempt left in it. Blocks while it reads.
  init(path: String, expecting digest: Digest, maximum: Int) throws(TransferError) {
    self.path = path
    expected = digest
    self.maximum = maximum
    temporary = "\(path).\(digest.hexadecimal.prefix(16)).partial"
    descriptor = open(temporary, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .file(FileError(.written, temporary, errno)) }
    state = Mutex(State(hasher: Digest.Hasher(), written: 0))
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw .io("\(path) is being downloaded already")
    }
    try restore()
  }

  deinit { close(descriptor) }

  /// Releases the lock after the last write, so that another download can continue the file.
  func unlock() { flock(descriptor, LOCK_UN) }

  /// The number of bytes that are in the file.
  var offset: Int64 { state.withLock(\.written) }
  var failure: TransferError? { state.withLock(\.failure) }

  private func restore() throws(TransferError) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    while true {
      let position = offset
      let count = pread(descriptor, buffer.baseAddress, buffer.count, off_t(position))
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .file(FileError(.read, temporary, errno)) }
      guard count > 0 else { return }
      state.withLock { state in
        state.hasher.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        state.written += Int64(count)
      }
      if offset > Int64(maximum) { return restart() }
    }
  }

  /// Empties the file, because the server sends the whole blob.
  func restart() {
    ftruncate(descriptor, 0)
    state.withLock { $0 = State(hasher: Digest.Hasher(), written: 0) }
  }

  /// - Returns: false when the download cannot continue; `failure` holds the reason.
  func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
    state.withLock { state in
      guard state.failure == nil else { return false }
      guard state.written + Int64(bytes.count) <= Int64(maximum) else {
        state.failure = .tooLarge(maximumBytes: maximum)
        return false
      }
      do throws(FileError) {
        try Files.write(bytes, to: descriptor, at: Int(state.written), temporary)
      } catch {
        state.failure = .file(error)
        return false
      }
      state.hasher.update(bytes)
      state.written += Int64(bytes.count)
      return true
    }
  }

  /// Checks the digest and renames the file to its final path.
  ///
  /// - Parameter durable: flushes the bytes before and the name after the rename, and blocks until the disk has them.
  func finish(durable: Bool) throws(TransferError) {
    let digest = state.withLock { $0.hasher.finish() }
    guard digest == expected else {
      discard()
      throw .digestMismatch(expected: expected, got: digest)
    }
    guard !durable || fsync(descriptor) == 0 else { throw .file(FileError(.madeDurable, temporary, errno)) }
    do throws(FileError) {
      try Files.rename(temporary, to: path)
      if durable { try Files.makeDurable(Files.folder(of: path)) }
    } catch {
      throw .file(error)
    }
  }

  /// Removes the temporary file, because its bytes are useless.
  func discard() { unlink(temporary) }
}
