/// How much of half uploads a server keeps.
package struct PartialUploadLimits: Hashable, Sendable {
  /// Half uploads at a time.
  package var count: Int
  /// Of these, from one node.
  package var perOwner: Int
  /// Bytes that all of them may take of the disk.
  package var bytes: Int
  /// One that nobody has continued for so long goes.
  package var ageSeconds: Int
  /// One that was continued so recently does not make room for others.
  package var graceSeconds: Int

  package init(
    count: Int = 1024, perOwner: Int = 4, bytes: Int = 16 << 30, ageSeconds: Int = 24 * 3600, graceSeconds: Int = 60
  ) {
    self.count = count
    self.perOwner = perOwner
    self.bytes = bytes
    self.ageSeconds = ageSeconds
    self.graceSeconds = graceSeconds
  }
}
