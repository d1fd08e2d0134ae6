/// The parameters that a task gives a step of its strategy.
///
/// The step takes them one by one. A parameter that it did not take is an error. A single number in the task file, as in `{clip: 2.0}`,
/// stands for the first parameter that the step takes.
public struct RuleParameters: Sendable {
  /// The allowed range of a number.
  public enum Condition: String, Sendable {
    /// > 0.
    case positive = "more than 0"
    /// ≥ 0.
    case notNegative = "0 or more"
    /// 0 ..< 1.
    case share = "0 or more and less than 1"
    /// 0 ..< 0.5.
    case belowHalf = "0 or more and less than 0.5"

    func holds(_ value: Double) -> Bool {
      switch self {
      case .positive: value > 0
      case .notNegative: value >= 0
      case .share: value >= 0 && value < 1
      case .belowHalf: value >= 0 && value < 0.5
      }
    }
  }

  /// The learning rate of the task's devices; `nil` without a task.
  public let localRate: Double?
  private let component: String
  private var left: [String: Double]
  private var known: [String] = []

  init(of component: String, _ parameters: [String: Double], localRate: Double?) {
    self.component = component
    self.localRate = localRate
    left = parameters
  }

  private mutating func take(_ name: String) -> Double? {
    known.append(name)
    if let value = left.removeValue(forKey: name) { return value }
    return known.count == 1 ? left.removeValue(forKey: "value") : nil
  }

  /// Takes a finite number.
  ///
  /// - Parameter fallback: the default; `nil` makes the parameter required.
  /// - Throws: `missingParameter`, `invalidParameter`.
  public mutating func number(_ name: String, _ condition: Condition, else fallback: Double? = nil) throws(AggregationError) -> Double {
    guard let value = take(name) ?? fallback else { throw .missingParameter(component: component, parameter: name) }
    guard value.isFinite, condition.holds(value) else {
      throw .invalidParameter(component: component, parameter: name, value: value, expected: condition.rawValue)
    }
    return value
  }

  /// Takes a whole number from `least` to 1,000,000; `nil` if the task does not give it.
  ///
  /// - Throws: `invalidParameter`.
  public mutating func count(_ name: String, from least: Int) throws(AggregationError) -> Int? {
    guard let value = take(name) else { return nil }
    guard let count = Int(exactly: value), count >= least, count <= 1_000_000 else {
      throw .invalidParameter(component: component, parameter: name, value: value, expected: "a whole number, \(least) or more")
    }
    return count
  }

  /// Takes a whole number from `least` to 1,000,000, or the default.
  ///
  /// - Throws: `invalidParameter`.
  public mutating func count(_ name: String, from least: Int, else fallback: Int) throws(AggregationError) -> Int {
    try count(name, from: least) ?? fallback
  }

  /// Takes all remaining numbers, by name.
  public mutating func rest() throws(AggregationError) -> [String: Double] {
    defer { left = [:] }
    return left
  }

  func finish() throws(AggregationError) {
    if let parameter = left.keys.min() { throw .unknownParameter(component: component, parameter: parameter, known: known) }
  }
}
