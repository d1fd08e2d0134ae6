/// Where the global model of a round lies.
public struct ModelReference: Codable, Hashable, Sendable {
  public var digest: Digest
  public var bytes: Int
  /// Below the data address of the coordinator that invites: `/v1/blobs/sha256:…`.
  public var path: String
  /// What the server optimizer remembers from the round that made it: central's own, never sent.
  public var state: Digest?

  public init(digest: Digest, bytes: Int, state: Digest? = nil) {
    self.digest = digest
    self.bytes = bytes
    self.path = "/v1/blobs/\(digest)"
    self.state = state
  }
}
