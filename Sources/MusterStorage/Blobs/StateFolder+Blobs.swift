package import MusterSchema

extension StateFolder {
  /// Makes a new file for a body, see ``Blobs/stage(maximumBytes:)``.
  package func stage(maximumBytes: Int = .max) throws(StorageError) -> StagedFile { try blobs.stage(maximumBytes: maximumBytes) }

  /// Makes a staged file a blob, durably. Blocks until the disk has it.
  @discardableResult
  package func adopt(_ staged: StagedFile) throws(StorageError) -> Digest { try blobs.adopt(staged, at: nil) }

  /// Makes a file of another folder a durable blob by moving it there. Blocks.
  @discardableResult
  package func adopt(file path: String, digest: Digest? = nil) throws(StorageError) -> Digest {
    try blobs.adopt(file: path, digest: digest)
  }

  /// Whether a blob is here, as a file or in a pack.
  package func contains(_ digest: Digest) -> Bool { blobs.place(of: digest) != nil }

  /// The place of a blob's bytes; `nil` when the blob is not here.
  package func place(of digest: Digest) -> BlobPlace? { blobs.place(of: digest) }

  /// The path of a file that holds exactly the blob; `nil` when the blob is not here. See ``Blobs/file(of:)``.
  package func file(of digest: Digest) async -> String? { await blobs.file(of: digest) }

  /// The size of a blob in bytes; `nil` when the blob is not here.
  package func size(of digest: Digest) -> Int? { blobs.size(of: digest) }

  /// Makes a blob count as new again before something refers to it, so that no collection removes it before the reference is committed.
  ///
  /// - Returns: whether the blob is here.
  package func refresh(_ digest: Digest) -> Bool { blobs.refresh(digest) }
}
