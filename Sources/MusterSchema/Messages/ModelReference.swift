/// The global model of a round, and where to download it.
package struct ModelReference: Codable, Hashable, Sendable {
  package var digest: Digest
  package var bytes: Int
  /// Path below the data address of the inviting coordinator: `/v1/blobs/sha256:…`.
  package var path: String
  /// Blob with the state that the server optimizer saved with this model. Only central uses it, and it is never sent.
  package var state: Digest?

  package init(digest: Digest, bytes: Int, state: Digest? = nil) {
    self.digest = digest
    self.bytes = bytes
    self.path = "/v1/blobs/\(digest)"
    self.state = state
  }
}
