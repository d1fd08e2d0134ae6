import Glibc
import MusterGround
package import MusterSchema
import Synchronization

/// A body that is being received, written and hashed piece by piece. Its file is removed unless it is adopted or a partial upload.
///
/// `write` reaches the page cache and hashes, which takes some tens of microseconds for a network chunk, so a cooperative thread may call
/// it. `finish` waits for the disk and must not run on a cooperative thread.
package final class StagedFile: Sendable {
  /// The number of bytes received, and their hash so far.
  struct Progress: Sendable {
    var hasher = Digest.Hasher()
    var count = 0
  }

  private struct State {
    var progress: Progress
    var isDone = false
    /// Another request continues this body, so this one may not write any more.
    var isRevoked = false
  }

  package let path: String
  package let maximumBytes: Int
  private let descriptor: Int32
  private let staysBehind: Bool
  private let state: Mutex<State>

  init(path: String, maximumBytes: Int) throws(StorageError) {
    self.path = path
    self.maximumBytes = maximumBytes
    staysBehind = false
    descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw StorageError(errno, "\(path) cannot be made") }
    state = Mutex(State(progress: Progress()))
  }

  /// Opens a partial upload's file to continue at `progress`. Bytes behind that are cut off. The file stays when the value is released.
  init(continuing path: String, from progress: Progress, maximumBytes: Int) throws(StorageError) {
    self.path = path
    self.maximumBytes = maximumBytes
    staysBehind = true
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw StorageError(errno, "\(path) cannot be opened") }
    guard ftruncate(descriptor, off_t(progress.count)) == 0, lseek(descriptor, off_t(progress.count), SEEK_SET) >= 0 else {
      let code = errno
      close(descriptor)
      throw StorageError(code, "\(path) cannot be continued")
    }
    state = Mutex(State(progress: progress))
  }

  deinit {
    close(descriptor)
    // After an adoption the file no longer has this name.
    let (isDone, bytes) = state.withLock { ($0.isDone, $0.progress.count) }
    if !staysBehind, !isDone { Files.discard(path, bytes: bytes) }
  }

  /// Bytes written, including those of earlier requests.
  package var count: Int { state.withLock(\.progress.count) }
  /// The digest of the bytes written so far.
  package var digest: Digest { state.withLock { $0.progress.hasher.finish() } }

  package func write(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
    let result: Result<Void, StorageError> = state.withLock { state in
      guard !state.isRevoked else { return .failure(.superseded) }
      guard state.progress.count + bytes.count <= maximumBytes else { return .failure(.tooLarge(maximumBytes: maximumBytes)) }
      do throws(StorageError) {
        try writeAll(descriptor, bytes, path)
      } catch {
        // Roll back a partial write.
        lseek(descriptor, off_t(state.progress.count), SEEK_SET)
        return .failure(error)
      }
      state.progress.hasher.update(bytes)
      state.progress.count += bytes.count
      return .success(())
    }
    try result.get()
  }

  package func write(_ bytes: [UInt8]) throws(StorageError) {
    try bytes.withBytes { (bytes) throws(StorageError) in try write(bytes) }
  }

  /// Makes the bytes durable. Blocks until the disk has them.
  @discardableResult
  package func finish() throws(StorageError) -> (digest: Digest, bytes: Int) {
    guard fdatasync(descriptor) == 0 else { throw StorageError(errno, "\(path) cannot be made durable") }
    return state.withLock { ($0.progress.hasher.finish(), $0.progress.count) }
  }

  /// Notes that the file was renamed into the blobs, so that there is nothing left to remove.
  func markAdopted() { state.withLock { $0.isDone = true } }

  var progress: Progress { state.withLock(\.progress) }

  /// Makes every further write fail.
  ///
  /// - Returns: the progress at that moment, which is final.
  func revoke() -> Progress {
    state.withLock { state in
      state.isRevoked = true
      return state.progress
    }
  }
}
