import Glibc
package import MusterSchema
import Synchronization

/// A body on its way in: written and hashed piece by piece, gone again unless the store adopts it.
///
/// `write` goes to the page cache and hashes, some tens of microseconds for a network chunk: fine on a cooperative thread. `finish`
/// waits for the disk: not there.
package final class StagedFile: Sendable {
  private struct State {
    var hasher = Digest.Hasher()
    var count = 0
    var isDone = false
  }

  package let path: String
  package let maximumBytes: Int
  private let descriptor: Int32
  private let state = Mutex(State())

  init(path: String, maximumBytes: Int) throws(StorageError) {
    self.path = path
    self.maximumBytes = maximumBytes
    descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw StorageError(errno, "\(path) cannot be made") }
  }

  deinit {
    close(descriptor)
    // After an adoption the name is gone already.
    if !state.withLock(\.isDone) { unlink(path) }
  }

  /// Bytes written.
  package var count: Int { state.withLock(\.count) }
  /// Of what was written so far.
  package var digest: Digest { state.withLock { $0.hasher.finish() } }

  package func write(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
    let result: Result<Void, StorageError> = state.withLock { state in
      guard state.count + bytes.count <= maximumBytes else { return .failure(.tooLarge(maximumBytes: maximumBytes)) }
      do throws(StorageError) {
        try writeAll(descriptor, bytes, path)
      } catch {
        return .failure(error)
      }
      state.hasher.update(bytes)
      state.count += bytes.count
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
    return state.withLock { ($0.hasher.finish(), $0.count) }
  }

  /// Its name was given away: there is nothing to remove any more.
  func markAdopted() { state.withLock { $0.isDone = true } }
}
