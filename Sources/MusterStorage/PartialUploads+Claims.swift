import Glibc
package import MusterSchema
import Synchronization

/// A complete upload, held by the request that brought its last bytes.
package struct UploadClaim: Sendable {
  package let name: String
  /// The file's path while the claim lasts. No other request opens it.
  package let path: String
  let file: StagedFile

  package var digest: Digest { file.digest }
  package var count: Int { file.count }
}

// From the last byte to a blob: the request that has all bytes claims the upload, checks the bytes and has them adopted. In the meantime no
// request can begin or resume an upload of that name, so the bytes that were checked are the bytes that become the blob.
extension PartialUploads {
  /// Gives this request exclusive use of the bytes that were written. Every claim must end with ``release(_:)``.
  ///
  /// - Throws: ``StorageError/superseded`` when another request has taken over the upload.
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

  /// Makes the checked body a durable blob. The upload stays known under its name until ``discard(_:_:)``. Blocks.
  package func adopt(_ claim: UploadClaim) throws(StorageError) -> Digest {
    let digest = try blobs.adopt(claim.file, at: claim.path)
    entries.withLock { entries in
      entries[claim.name]?.isStored = true
      entries[claim.name]?.progress = nil
    }
    return digest
  }

  /// Ends the claim. An upload that was not adopted can be continued, unless it was discarded in the meantime.
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
        // If the blob existed already, the adoption left the file in place.
        unlink(claim.path)
      } else if rename(claim.path, part(claim.name)) != 0 {
        // Without its file the upload cannot be continued, so its sender begins again.
        remove(claim.name, &entries)
      }
    }
  }
}
