/// Where the global model of a round lies.
package struct ModelReference: Codable, Hashable, Sendable {
  package var digest: Digest
  package var bytes: Int
  /// Below the data address of the coordinator that invites: `/v1/blobs/sha256:…`.
  package var path: String
  /// What the server optimizer remembers from the round that made it: central's own, never sent.
  package var state: Digest?

  package init(digest: Digest, bytes: Int, state: Digest? = nil) {
    self.digest = digest
    self.bytes = bytes
    self.path = "/v1/blobs/\(digest)"
    self.state = state
  }
}
