/// A stored update of a closed round.
public struct StoredUpdate: Hashable, Sendable {
  /// The node's path, such as `north/pi-1`. Contributions are sorted by it.
  public let path: String
  /// Path of the safetensors file. It holds resulting parameters, or differences from the base if its metadata says
  /// `"muster.content": "delta"`.
  public let file: String
  /// The byte range of the update in that file; `nil` for the whole file.
  public let range: Range<Int>?
  /// Number of samples behind the update: finite and > 0.
  public let weight: Double

  /// Describes a stored update; see the properties.
  public init(path: String, file: String, range: Range<Int>? = nil, weight: Double) {
    self.path = path
    self.file = file
    self.range = range
    self.weight = weight
  }
}

/// An update that does not count, and the reason.
public struct Refusal: Hashable, Sendable {
  /// The node's path.
  public let path: String
  /// The reason, as a phrase for an error message or the round's record.
  public let reason: String

  /// Describes a refused update.
  public init(path: String, reason: String) {
    self.path = path
    self.reason = reason
  }
}

/// The outcome of an aggregation.
public struct AggregationResult: Sendable {
  /// Paths of the updates that are in the result, sorted.
  public let accepted: [String]
  /// The refused updates, sorted by path.
  public let refused: [Refusal]
  /// The sum of the accepted weights.
  public let weight: Double
  /// Bytes of tensor data read, including the base's.
  public let bytesRead: Int
  /// Time from the call to the finished result.
  public let duration: Duration
  /// The part of `duration` spent writing the result, averaged over the threads.
  public let writing: Duration
}
