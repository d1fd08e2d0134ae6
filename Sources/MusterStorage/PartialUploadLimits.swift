/// Limits on the partial uploads that a server keeps.
package struct PartialUploadLimits: Hashable, Sendable {
  /// The largest number of partial uploads at a time.
  package var count: Int
  /// The largest number of them from one node.
  package var perOwner: Int
  /// The largest number of bytes that all of them together may take on the disk.
  package var bytes: Int
  /// A partial upload that was not continued for this time is removed.
  package var ageSeconds: Int
  /// A partial upload that was continued within this time is not removed to make room for others.
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
