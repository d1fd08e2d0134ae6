import MusterDataPlane
import MusterGround
import MusterSchema
import MusterServer
import MusterStorage
import MusterTransfer

/// Blobs of central. Each is fetched once and stored.
struct CentralBlobs: BlobSource {
  let state: StateFolder
  let client: HTTPClient
  let flights = SingleFlight<Digest>()
  let central: @Sendable () async -> String?

  func locate(_ digest: Digest) async throws(Problem) -> String {
    if let path = await state.file(of: digest) { return path }
    return try await flights.run(digest) { () async throws(Problem) -> String in
      if let path = await state.file(of: digest) { return path }
      guard let central = await central() else {
        throw Problem(.centralUnknown, "the region has not received central's address from its broker yet")
      }
      return try await fetch(digest, from: central)
    }
  }

  private func fetch(_ digest: Digest, from central: String) async throws(Problem) -> String {
    do {
      let temporary = "\(try state.workFolder())/fetch-\(digest.hexadecimal)"
      // Not flushed here: it is flushed when it becomes a blob.
      try await client.download("\(central)/v1/blobs/\(digest)", to: temporary, expecting: digest, maximumBytes: 64 << 30, durable: false)
      // Flushing a model takes seconds on a slow disk.
      let state = state
      _ = try await offloadLong { () throws(StorageError) in try state.adopt(file: temporary, digest: digest) }
    } catch let error as TransferError {
      if let problem = error.problem { throw problem }
      throw Problem(.centralUnreachable, "\(error)")
    } catch {
      throw Problem(.unavailable, "\(error)")
    }
    guard let path = await state.file(of: digest) else {
      throw Problem(.unavailable, "the blob \(digest) was removed as soon as it was fetched")
    }
    return path
  }
}
