import MusterGround
import MusterSchema
import MusterTransfer

/// Digest and size of what will be uploaded. Small files at once, large ones on a thread of their own: hashing them takes its time.
func measure(_ source: UploadSource) async throws(TransferError) -> (digest: Digest, bytes: Int) {
  if (Files.size(source.file) ?? 0) <= 1 << 20 { return try source.measure() }
  return try await offloadLong { () throws(TransferError) in try source.measure() }
}
