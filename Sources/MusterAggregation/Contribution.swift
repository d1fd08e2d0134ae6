/// A stored update, as the closing of a round hands it over.
public struct Contribution: Hashable, Sendable {
  /// The node's path, `north/pi-1`: what contributions are ordered by.
  public let path: String
  /// Where its safetensors file lies. It holds resulting parameters, or differences to the base when its metadata says
  /// `"muster.content": "delta"`.
  public let file: String
  /// The part of that file; nil: all of it.
  public let range: Range<Int>?
  /// Samples behind it: finite and > 0.
  public let weight: Double

  public init(path: String, file: String, range: Range<Int>? = nil, weight: Double) {
    self.path = path
    self.file = file
    self.range = range
    self.weight = weight
  }
}

/// A contribution that does not count, and why.
public struct Refusal: Hashable, Sendable {
  public let path: String
  public let reason: String

  public init(path: String, reason: String) {
    self.path = path
    self.reason = reason
  }
}

/// What an aggregation did.
public struct AggregationResult: Sendable {
  /// Paths of the updates in the result, in order.
  public let accepted: [String]
  /// In the order of their paths.
  public let refused: [Refusal]
  /// The sum of the accepted weights.
  public let weight: Double
  /// Bytes of tensor data looked at, the base's included.
  public let bytesRead: Int
  /// How long it took.
  public let duration: Duration
  /// How much of it went into handing the result to the system; the mean over the threads.
  public let writing: Duration
}
