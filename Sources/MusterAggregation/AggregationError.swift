import MusterGround
internal import MusterSchema
public import MusterTensors

/// Why an aggregation produced no model.
public enum AggregationError: Error, Hashable, Sendable {
  /// The base model cannot be read.
  case base(path: String, SafetensorsError)
  /// The result cannot be written.
  case output(path: String, SafetensorsError)
  /// An update cannot be read now, for a reason of the system (for example too many open files) that says nothing about the update.
  case update(path: String, SafetensorsError)
  /// Two contributions have the same path: each node counts at most once.
  case duplicatePath(String)
  /// Every update was refused, or there was none.
  case nothingAccepted([Refusal])
  /// The server optimizer's step led to an infinity or a NaN.
  case notFinite(tensor: String)
  /// The sum of the weights is not finite, even after scaling them.
  case weightsOverflow
  /// The name is neither a known strategy nor a combiner.
  case unknownStrategy(String, known: [String])
  /// No filter, combiner or optimizer of this name is known; `kind` says which of the three was expected.
  case unknownComponent(kind: String, name: String, known: [String])
  /// The step has no parameter of this name.
  case unknownParameter(component: String, parameter: String, known: [String] = [])
  /// The step needs a parameter that the task does not give.
  case missingParameter(component: String, parameter: String)
  /// A parameter's value is outside the range that `expected` describes.
  case invalidParameter(component: String, parameter: String, value: Double, expected: String)
  /// Fewer updates are left than the combiner needs: the reason, and the updates that were refused before.
  case tooFewUpdates(String, [Refusal])
  /// The program of an external rule failed, or its result cannot be used. `passing` marks an error worth retrying, such as a full disk.
  case external(rule: String, String, passing: Bool = false)
  /// The server optimizer's state at `path` cannot be read or written, or does not fit. `passing` marks an error worth retrying.
  case state(path: String, String, passing: Bool = false)
}

extension AggregationError {
  /// The updates that were refused before too few were left; `nil` for other errors.
  package var refusals: [Refusal]? {
    switch self {
    case .nothingAccepted(let refusals), .tooFewUpdates(_, let refusals): refusals.isEmpty ? nil : refusals
    default: nil
    }
  }
}

extension SafetensorsError: PassingTrouble {
  package var isPassing: Bool { if case .system(_, _, let code) = self { SystemTrouble.isPassing(code) } else { false } }
}

extension AggregationError: PassingTrouble {
  package var isPassing: Bool {
    switch self {
    case .base(_, let error), .output(_, let error), .update(_, let error): error.isPassing
    case .external(_, _, let isPassing), .state(_, _, let isPassing): isPassing
    default: false
    }
  }
}

extension AggregationError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .base(let path, let error): return "the base model \(path) cannot be read: \(error)"
    case .output(let path, let error): return "the new model \(path) cannot be written: \(error)"
    case .duplicatePath(let path): return "two contributions came from \(path), but each node may contribute only once"
    case .nothingAccepted(let refusals):
      if refusals.isEmpty { return "there are no updates to aggregate" }
      return "none of \(refusals.count) updates can be used: \(Self.list(refusals))"
    case .tooFewUpdates(let problem, let refusals):
      return refusals.isEmpty ? problem : "\(problem); \(refusals.count) refused: \(Self.list(refusals))"
    case .update(let path, let error): return "the update of \(path) cannot be read at the moment: \(error)"
    case .external(let rule, let problem, _): return "the external rule \(rule) failed: \(problem)"
    case .state(let path, let problem, _): return "the server optimizer's state \(path) \(problem)"
    case .notFinite(let tensor):
      return
        "tensor \(shown(tensor)) of the new model would not be finite: the base's tensor is not, or the updates exceed the range of its dtype"
    case .weightsOverflow: return "the sum of the updates' weights is not finite: lower the task's maximumWeight"
    case .unknownStrategy(let name, let known): return "unknown strategy \(shown(name)); known strategies: \(known.joined(separator: ", "))"
    case .unknownComponent(let kind, let name, let known):
      return "unknown \(kind) \(shown(name)); known: \(known.isEmpty ? "none" : known.joined(separator: ", "))"
    case .unknownParameter(let component, let parameter, let known):
      let has = known.isEmpty ? "it has none" : "its parameters are \(known.joined(separator: ", "))"
      return "\(component) has no parameter \(shown(parameter)): \(has)"
    case .missingParameter(let component, let parameter):
      return
        "\(component) needs the parameter \(parameter): write {\(component): 1.0} or {\(component): {\(parameter): 1.0}}, with your value instead of 1.0"
    case .invalidParameter(let component, let parameter, let value, let expected):
      return "the \(parameter) of \(component) is \(value): it must be \(expected)"
    }
  }

  private static func list(_ refusals: [Refusal]) -> String {
    let named = refusals.prefix(5).map { "\($0.path): \($0.reason)" }.joined(separator: "; ")
    return refusals.count > 5 ? "\(named); and \(refusals.count - 5) more" : named
  }
}
