import Glibc
import MusterSchema
import Synchronization

/// The temporary file of a download: continues a partial one, hashes what it writes, becomes the wanted file only when the digest fits.
///
/// The name carries the digest, so a partial file is only ever continued with the same bytes. A lock keeps a second download away.
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

  /// Opens the temporary file and reads what an earlier attempt left. Blocks while it reads.
  init(path: String, expecting digest: Digest, maximum: Int) throws(TransferError) {
    self.path = path
    expected = digest
    self.maximum = maximum
    temporary = "\(path).\(digest.hexadecimal.prefix(16)).partial"
    descriptor = open(temporary, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .io("\(temporary) cannot be written: \(reason(errno))") }
    state = Mutex(State(hasher: Digest.Hasher(), written: 0))
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw .io("\(path) is being downloaded already")
    }
    try restore()
  }

  deinit { close(descriptor) }

  /// Nothing is written any more: another download may go on.
  func unlock() { flock(descriptor, LOCK_UN) }

  /// Bytes that are there already.
  var offset: Int64 { state.withLock(\.written) }
  var failure: TransferError? { state.withLock(\.failure) }

  private func restore() throws(TransferError) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    while true {
      let position = offset
      let count = pread(descriptor, buffer.baseAddress, buffer.count, off_t(position))
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .io("\(temporary) cannot be read: \(reason(errno))") }
      guard count > 0 else { return }
      state.withLock { state in
        state.hasher.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        state.written += Int64(count)
      }
      if offset > Int64(maximum) { return restart() }
    }
  }

  /// Forgets what is there: the server sends everything.
  func restart() {
    ftruncate(descriptor, 0)
    state.withLock { $0 = State(hasher: Digest.Hasher(), written: 0) }
  }

  /// - Returns: false when it cannot go on; `failure` says why.
  func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
    state.withLock { state in
      guard state.failure == nil else { return false }
      guard state.written + Int64(bytes.count) <= Int64(maximum) else {
        state.failure = .tooLarge(maximumBytes: maximum)
        return false
      }
      var done = 0
      while done < bytes.count {
        let count = pwrite(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(state.written) + off_t(done))
        if count < 0 {
          if errno == EINTR { continue }
          state.failure = .io("\(temporary) cannot be written: \(reason(errno))")
          return false
        }
        done += count
      }
      state.hasher.update(bytes)
      state.written += Int64(bytes.count)
      return true
    }
  }

  /// Checks the digest and gives the file its name.
  ///
  /// - Parameter durable: makes the bytes safe first, and the name afterwards: blocks until the disk has them.
  func finish(durable: Bool) throws(TransferError) {
    let digest = state.withLock { $0.hasher.finish() }
    guard digest == expected else {
      discard()
      throw .digestMismatch(expected: expected, got: digest)
    }
    guard !durable || fsync(descriptor) == 0 else { throw .io("\(temporary) cannot be made safe: \(reason(errno))") }
    guard rename(temporary, path) == 0 else { throw .io("\(path) cannot be written: \(reason(errno))") }
    if durable { try synchronizeFolder(of: path) }
  }

  /// Removes the temporary file: its bytes are of no use.
  func discard() { unlink(temporary) }
}

private func synchronizeFolder(of path: String) throws(TransferError) {
  let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
  let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  guard descriptor >= 0 else { throw .io("\(folder) cannot be opened: \(reason(errno))") }
  defer { close(descriptor) }
  guard fsync(descriptor) == 0 else { throw .io("\(folder) cannot be made safe: \(reason(errno))") }
}
