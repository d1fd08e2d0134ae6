public import MusterTensors

/// Why there is no next model.
public enum AggregationError: Error, Hashable, Sendable {
  /// The base model cannot be read.
  case base(path: String, SafetensorsError)
  /// The result cannot be written.
  case output(path: String, SafetensorsError)
  /// Two contributions of one path: each counts at most once.
  case duplicatePath(String)
  /// Every update was refused, or there was none.
  case nothingAccepted([Refusal])
  /// The step led to an infinity or a NaN.
  case notFinite(tensor: String)
  /// The weights are so large that their sum is infinite.
  case weightsOverflow
  case unknownStrategy(String, known: [String])
  /// A step of a strategy that nobody knows: what it should be (a filter, combiner or optimizer) and its name.
  case unknownComponent(kind: String, name: String, known: [String])
  case unknownParameter(component: String, parameter: String)
}

extension AggregationError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .base(let path, let error): return "the base model \(path) cannot be read: \(error)"
    case .output(let path, let error): return "the new model \(path) cannot be written: \(error)"
    case .duplicatePath(let path): return "two contributions came from \(path): each node counts once"
    case .nothingAccepted(let refusals):
      if refusals.isEmpty { return "there is no update to aggregate" }
      let named = refusals.prefix(5).map { "\($0.path): \($0.reason)" }.joined(separator: "; ")
      let more = refusals.count > 5 ? "; and \(refusals.count - 5) more" : ""
      return "none of \(refusals.count) updates can be used: \(named)\(more)"
    case .notFinite(let tensor):
      return
        "tensor \(shown(tensor)) of the new model would not be finite: its base is not, or the updates drive it out of its dtype's range"
    case .weightsOverflow: return "the sum of the updates' weights is not finite: give the task a lower maximumWeight"
    case .unknownStrategy(let name, let known): return "unknown strategy \(shown(name)): known are \(known.joined(separator: ", "))"
    case .unknownComponent(let kind, let name, let known):
      return "unknown \(kind) \(shown(name)): known are \(known.isEmpty ? "none yet" : known.joined(separator: ", "))"
    case .unknownParameter(let component, let parameter): return "\(component) has no parameter \(shown(parameter))"
    }
  }
}
