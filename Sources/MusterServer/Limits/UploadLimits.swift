package import MusterStorage

/// Limits of the uploads to a data listener.
///
/// `docs/operations.md` lists the keys.
package struct UploadLimits: Hashable, Sendable {
  /// Maximum size of one contribution, beyond which the answer is 413.
  package var contributionBytes: Int
  /// Maximum number of uploads in progress, beyond which the answer is 429.
  package var count: Int
  /// Maximum total of the bytes that the uploads in progress have announced, beyond which the answer is 429.
  package var bytes: Int
  /// Interrupted uploads that are kept so that they can be continued.
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
