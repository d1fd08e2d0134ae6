/// Takes a step's parameters one by one, and knows in the end which nobody asked for. The short form's single number stands for the
/// first that is asked for.
public struct RuleParameters: Sendable {
  /// What a number must be.
  public enum Condition: String, Sendable {
    case positive = "more than 0"
    case notNegative = "0 or more"
    case share = "0 or more and less than 1"
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

  /// The learning rate of the task's devices; nil when no task asks.
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

  /// Takes a number.
  ///
  /// - Parameter fallback: nil: the task must give it.
  /// - Throws: `missingParameter`, `invalidParameter`.
  public mutating func number(_ name: String, _ condition: Condition, else fallback: Double? = nil) throws(AggregationError) -> Double {
    guard let value = take(name) ?? fallback else { throw .missingParameter(component: component, parameter: name) }
    guard value.isFinite, condition.holds(value) else {
      throw .invalidParameter(component: component, parameter: name, value: value, expected: condition.rawValue)
    }
    return value
  }

  /// Takes a whole number, at least so large; nil when the task does not give it.
  public mutating func count(_ name: String, from least: Int) throws(AggregationError) -> Int? {
    guard let value = take(name) else { return nil }
    guard let count = Int(exactly: value), count >= least, count <= 1_000_000 else {
      throw .invalidParameter(component: component, parameter: name, value: value, expected: "a whole number, \(least) or more")
    }
    return count
  }

  /// Takes a whole number, at least so large.
  public mutating func count(_ name: String, from least: Int, else fallback: Int) throws(AggregationError) -> Int {
    try count(name, from: least) ?? fallback
  }

  /// Takes all numbers that are left, by name.
  public mutating func rest() throws(AggregationError) -> [String: Double] {
    defer { left = [:] }
    return left
  }

  func finish() throws(AggregationError) {
    if let parameter = left.keys.min() { throw .unknownParameter(component: component, parameter: parameter, known: known) }
  }
}
