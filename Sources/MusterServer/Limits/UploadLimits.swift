package import MusterStorage

/// Upper bounds on the uploads that a data listener takes.
///
/// `docs/operations.md` lists the keys.
package struct UploadLimits: Hashable, Sendable {
  /// Bytes of one contribution, before 413.
  package var contributionBytes: Int
  /// Uploads in progress at a time, before 429.
  package var count: Int
  /// Bytes that the uploads in progress have announced together, before 429.
  package var bytes: Int
  /// Uploads that were interrupted, and are kept so that they can go on.
  package var partials: PartialUploadLimits

  package init(
    contributionBytes: Int = 1 << 30, count: Int = 256, bytes: Int = 8 << 30, partials: PartialUploadLimits = PartialUploadLimits()
  ) {
    self.contributionBytes = contributionBytes
    self.count = count
    self.bytes = bytes
    self.partials = partials
  }
}
