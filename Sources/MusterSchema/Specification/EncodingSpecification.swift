/// How a task's tensors are encoded for transfer: `float32`, `float16`, `bfloat16`, `int8`, `topk` or `{topk: {fraction: 0.05}}`.
///
/// The first four apply to models and updates. With top-k, models are sent as float32, and updates as their largest changes.
package enum EncodingSpecification: Codable, Hashable, Sendable {
  case float32
  case float16
  case bfloat16
  /// One scale for each output channel.
  case int8
  /// Each tensor of an update keeps this fraction of its elements, the largest, at least one. Devices save the rest for later rounds.
  case topK(fraction: Double)
  /// An encoding that this program does not know: a device declines the task, and central refuses it.
  case other(String)

  /// The fraction of `topk` when none is given.
  package static let defaultFraction = 0.05
  static let known = ["float32", "float16", "bfloat16", "int8", "topk"]

  /// The name in task files and in the metadata of encoded files.
  package var name: String {
    switch self {
    case .float32: "float32"
    case .float16: "float16"
    case .bfloat16: "bfloat16"
    case .int8: "int8"
    case .topK: "topk"
    case .other(let name): name
    }
  }

  /// The fraction of top-k; `nil` for other encodings.
  package var fraction: Double? { if case .topK(let fraction) = self { fraction } else { nil } }

  /// - Parameter name: the name in a task file.
  package init(name: String, fraction: Double? = nil) {
    switch name {
    case "float32": self = .float32
    case "float16": self = .float16
    case "bfloat16": self = .bfloat16
    case "int8": self = .int8
    case "topk": self = .topK(fraction: fraction ?? Self.defaultFraction)
    default: self = .other(name)
    }
  }

  private struct Fraction: Codable {
    var fraction: Double
    private enum CodingKeys: String, CodingKey, CaseIterable { case fraction }

    init(_ fraction: Double) { self.fraction = fraction }
    init(from decoder: any Decoder) throws {
      fraction = try StrictContainer<CodingKeys>(decoder).value(.fraction, else: EncodingSpecification.defaultFraction)
    }
  }

  private enum CodingKeys: String, CodingKey, CaseIterable { case topk }

  package init(from decoder: any Decoder) throws {
    if let name = decoder.word {
      self.init(name: name)
      return
    }
    let fields = try StrictContainer<CodingKeys>(decoder)
    self = .topK(fraction: (try fields.value(.topk) as Fraction).fraction)
  }

  package func encode(to encoder: any Encoder) throws {
    switch self {
    case .topK(let fraction) where fraction != Self.defaultFraction:
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(Fraction(fraction), forKey: .topk)
    default:
      var container = encoder.singleValueContainer()
      try container.encode(name)
    }
  }

  /// The reason why the encoding is refused; `nil` if it is accepted.
  var problem: String? {
    switch self {
    case .float32, .float16, .bfloat16, .int8: nil
    case .topK(let fraction):
      fraction.isFinite && fraction > 0 && fraction <= 1 ? nil : "topk.fraction must be above 0 and at most 1, got \(fraction)"
    case .other(let name):
      "unknown encoding \"\(name.shown(60))\"; known encodings: \(Self.known.joined(separator: ", "))"
    }
  }
}
