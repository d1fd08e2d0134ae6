/// The reason why the agent cannot run.
package enum AgentError: Error, Hashable, CustomStringConvertible {
  /// The state folder cannot be used. The text says what failed and where.
  case state(String)
  case network(String)

  package var description: String {
    switch self {
    case .state(let why): "state folder: \(why)"
    case .network(let why): why
    }
  }
}
