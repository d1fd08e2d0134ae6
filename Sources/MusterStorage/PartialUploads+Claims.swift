import Glibc
package import MusterSchema
import Synchronization

/// All bytes of a half upload, held by the request that brought the last of them.
package struct UploadClaim: Sendable {
  package let name: String
  /// Where the bytes lie while the claim holds: nobody else opens that file.
  package let path: String
  let file: StagedFile

  package var digest: Digest { file.digest }
  package var count: Int { file.count }
}

// From the last byte to a blob: the request that has all bytes claims them, checks them, and has them adopted. Meanwhile nobody begins or
// resumes an upload of that name, so what was checked is what becomes the blob.
extension PartialUploads {
  /// Takes what was written for this request alone. Every claim ends with ``release(_:)``.
  ///
  /// - Throws: ``StorageError/superseded`` when another request has taken the upload over.
  package func claim(_ file: StagedFile, of name: String) throws(StorageError) -> UploadClaim {
    let path = claimed(name)
    let failure: StorageError? = entries.withLock { entries in
      guard let entry = entries[name], entry.active === file, !entry.isClaimed else { return .superseded }
      guard rename(file.path, path) == 0 else { return StorageError(errno, "\(path) cannot be written") }
      let progress = file.revoke()
      entries[name]?.progress = progress
      entries[name]?.count = progress.count
      entries[name]?.isClaimed = true
      return nil
    }
    if let failure { throw failure }
    return UploadClaim(name: name, path: path, file: file)
  }

  /// The checked body becomes a blob, durably; its name stays until ``discard(_:_:)``. Blocks.
  package func adopt(_ claim: UploadClaim) throws(StorageError) -> Digest {
    let digest = try blobs.adopt(claim.file, at: claim.path)
    entries.withLock { entries in
      entries[claim.name]?.isStored = true
      entries[claim.name]?.progress = nil
    }
    return digest
  }

  /// The request is through with it. What was not adopted can be continued, unless nobody wants it any more.
  package func release(_ claim: UploadClaim) {
    entries.withLock { entries in
      guard var entry = entries[claim.name], entry.isClaimed, entry.active === claim.file else { return }
      entry.isClaimed = false
      entry.active = nil
      entry.touched = time(nil)
      entries[claim.name] = entry
      if entry.isDiscarded {
        remove(claim.name, &entries)
      } else if entry.isStored {
        // The same bytes may have been a blob already: then the file was left.
        unlink(claim.path)
      } else if rename(claim.path, part(claim.name)) != 0 {
        // Without its file there is nothing to continue: its sender begins anew.
        remove(claim.name, &entries)
      }
    }
  }
}
