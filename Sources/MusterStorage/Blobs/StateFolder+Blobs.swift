package import MusterSchema

extension StateFolder {
  /// A new file for a body: see ``BlobFolder/stage(maximumBytes:)``.
  package func stage(maximumBytes: Int = .max) throws(StorageError) -> StagedFile { try blobs.stage(maximumBytes: maximumBytes) }

  /// Makes a staged file a blob, durably. Blocks until the disk has it.
  @discardableResult
  package func adopt(_ staged: StagedFile) throws(StorageError) -> Digest { try blobs.adopt(staged) }

  /// Makes a file of another folder a blob, durably: it is moved. Blocks.
  @discardableResult
  package func adopt(file path: String, digest: Digest? = nil) throws(StorageError) -> Digest {
    try blobs.adopt(file: path, digest: digest)
  }

  /// Whether a blob is here.
  package func contains(_ digest: Digest) -> Bool { blobs.place(of: digest) != nil }

  /// Where a blob's bytes lie; nil when it is not here.
  package func place(of digest: Digest) -> BlobPlace? { blobs.place(of: digest) }

  /// A file that is the blob; nil when it is not here: see ``BlobFolder/path(of:)``.
  package func path(of digest: Digest) -> String? { blobs.path(of: digest) }

  /// Bytes of a blob; nil when it is not here.
  package func size(of digest: Digest) -> Int? { blobs.size(of: digest) }

  /// Somebody is about to refer to a blob: it counts as new again, so that no collection takes it before the reference is committed.
  ///
  /// - Returns: whether it is here.
  package func refresh(_ digest: Digest) -> Bool { blobs.refresh(digest) }
}
