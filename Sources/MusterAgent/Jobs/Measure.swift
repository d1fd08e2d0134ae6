import MusterGround
import MusterSchema
import MusterTransfer

/// The digest and size of an upload. Large files are read on a thread of their own, because hashing them takes long.
func measure(_ source: UploadSource) async throws(TransferError) -> (digest: Digest, bytes: Int) {
  if (Files.size(source.file) ?? 0) <= 1 << 20 { return try source.measure() }
  return try await offloadLong { () throws(TransferError) in try source.measure() }
}
