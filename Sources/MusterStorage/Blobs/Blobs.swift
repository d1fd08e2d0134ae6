package import MusterSchema

/// Immutable blobs, addressed by their SHA-256.
///
/// A blob appears whole or not at all, and is durable when `adopt` or `add` returns. Functions that are not `async` block, at most for the
/// disk. What every engine must do is in `BlobsConformance`, beside the tests of `Store`.
package protocol Blobs: Sendable {
  // MARK: In

  /// Makes a new file for a body of at most `maximumBytes` bytes.
  func stage(maximumBytes: Int) throws(StorageError) -> StagedFile

  /// Makes a staged file a blob. It is fine if the blob exists already.
  ///
  /// - Parameter path: where the file is now, if it was renamed; `nil` means the path at which it was made.
  @discardableResult
  func adopt(_ staged: StagedFile, at path: String?) throws(StorageError) -> Digest

  /// Makes a file of another folder a blob. The file is gone afterwards.
  ///
  /// - Parameter digest: the file's digest if the caller knows it; `nil` reads the file to compute it.
  @discardableResult
  func adopt(file path: String, digest: Digest?) throws(StorageError) -> Digest

  /// Makes a body of at most ``BlobFolder/smallBytes`` bytes a blob, together with others that arrive at the same time.
  ///
  /// - Parameter digest: the digest of `body`.
  func add(_ body: [UInt8], digest: Digest) async throws(StorageError)

  // MARK: Out

  /// The place of a blob's bytes; `nil` when the blob is not here. Answers from memory and the file system's names.
  func place(of digest: Digest) -> BlobPlace?

  /// The path of a file that holds exactly the blob; `nil` when the blob is not here. A blob that shares a file is copied first, so a caller
  /// that reads many blobs should ask for their ``place(of:)`` instead.
  func file(of digest: Digest) async -> String?

  /// The size of a blob in bytes; `nil` when the blob is not here.
  func size(of digest: Digest) -> Int?

  // MARK: Ages

  /// Makes a blob count as new, so that ``old(prefix:olderThan:)`` and ``discard(_:olderThan:)`` leave it alone.
  ///
  /// - Returns: whether the blob is here.
  func refresh(_ digest: Digest) -> Bool

  /// The blobs whose digest has one first byte, and which are old enough to be removed if nothing refers to them.
  func old(prefix: Int, olderThan age: Duration) -> Set<Digest>

  /// Removes blobs that nothing refers to any more.
  ///
  /// - Parameter olderThan: younger blobs stay, because an adopter's record may not be committed yet.
  /// - Returns: the bytes freed, and those of the blobs that are still here.
  func discard(_ digests: Set<Digest>, olderThan age: Duration) -> (freed: Int, left: Set<Digest>)

  /// Removes staged files that a request or an earlier process left behind.
  ///
  /// - Returns: bytes freed.
  func clearStaging(olderThan age: Duration) -> Int
}

extension Blobs {
  package func stage() throws(StorageError) -> StagedFile { try stage(maximumBytes: .max) }
  package func old(prefix: Int) -> Set<Digest> { old(prefix: prefix, olderThan: BlobFolder.sweepAge) }
  package func clearStaging() -> Int { clearStaging(olderThan: BlobFolder.sweepAge) }
}
