package import MusterSchema

/// A ledger's decision whether an upload may begin, made from the upload's headers alone.
package enum UploadAdmission: Hashable, Sendable {
  case open(UploadTerms)
  /// The path already counts, with the contribution of this digest.
  case accepted(Digest)
  /// The ticket is right, but the phase is over. The history knows whether the path counted in it.
  case past(String)
  case closed(String)
  /// The ticket is wrong, or the path has nothing to contribute here.
  case refused(String)
  case unknown
}

/// The bounds of a contribution that may be uploaded.
package struct UploadTerms: Hashable, Sendable {
  /// The model that the contribution must have started from.
  package var base: Digest
  /// Of one device.
  package var maximumWeight: Double
  /// Of the body.
  package var maximumBytes: Int
  /// The largest number of devices that the contribution may stand for, and whose weights it may add up.
  package var maximumDevices: Int
  package var encoding: EncodingSpecification

  package init(
    base: Digest, maximumWeight: Double, maximumBytes: Int, maximumDevices: Int = 1, encoding: EncodingSpecification = .float32
  ) {
    self.base = base
    self.maximumWeight = maximumWeight
    self.maximumBytes = maximumBytes
    self.maximumDevices = maximumDevices
    self.encoding = encoding
  }
}
