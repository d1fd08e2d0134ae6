import Glibc
package import MusterSchema
import Synchronization

/// A body on its way in: written and hashed piece by piece, gone again unless the store adopts it, or it is a half upload that stays.
///
/// `write` goes to the page cache and hashes, some tens of microseconds for a network chunk: fine on a cooperative thread. `finish`
/// waits for the disk: not there.
package final class StagedFile: Sendable {
  /// How far a body has come: bytes, and their hash so far.
  struct Progress: Sendable {
    var hasher = Digest.Hasher()
    var count = 0
  }

  private struct State {
    var progress: Progress
    var isDone = false
    /// Somebody else goes on with this body.
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

  /// A half upload's file, from where it stands: what lies behind that is cut off. It stays when nobody uses it any more.
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
    // After an adoption the name is gone already.
    if !staysBehind, !state.withLock(\.isDone) { unlink(path) }
  }

  /// Bytes written, those of earlier requests included.
  package var count: Int { state.withLock(\.progress.count) }
  /// Of what was written so far.
  package var digest: Digest { state.withLock { $0.progress.hasher.finish() } }

  package func write(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
    let result: Result<Void, StorageError> = state.withLock { state in
      guard !state.isRevoked else { return .failure(.superseded) }
      guard state.progress.count + bytes.count <= maximumBytes else { return .failure(.tooLarge(maximumBytes: maximumBytes)) }
      do throws(StorageError) {
        try writeAll(descriptor, bytes, path)
      } catch {
        // A piece that is there in part is not there.
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

  /// Its name was given away: there is nothing to remove any more.
  func markAdopted() { state.withLock { $0.isDone = true } }

  var progress: Progress { state.withLock(\.progress) }

  /// From now on every write fails.
  ///
  /// - Returns: how far it came: not a byte comes after that.
  func revoke() -> Progress {
    state.withLock { state in
      state.isRevoked = true
      return state.progress
    }
  }
}
