/// The reason why there is no connection. The description tells an operator what to check. It never holds a password or a payload.
package enum MQTTError: Error, Hashable, Sendable, CustomStringConvertible {
  /// No attempt could succeed with this configuration. Thrown before anything is started.
  case configuration(String)
  /// The name does not resolve, or no server accepts connections at the address.
  case unreachable(String)
  case tls(String)
  /// The broker refused the connection in its answer.
  case refused(Refusal)
  /// The broker answered, but lacks a feature that Muster needs.
  case unfit(String)
  case timedOut(String)
  case lost(String)
  /// The program dropped the connection with `reconnect(after:)`.
  case requested

  package enum Refusal: Hashable, Sendable {
    case protocolVersion
    case identifier
    case unavailable
    case credentials
    case notAuthorized
    case other(Int)

    init(connack code: Int) {
      self =
        switch code {
        case 1: .protocolVersion
        case 2: .identifier
        case 3: .unavailable
        case 4: .credentials
        case 5: .notAuthorized
        default: .other(code)
        }
    }
  }

  package var description: String {
    switch self {
    case .configuration(let why): why
    case .unreachable(let why): "the broker cannot be reached: \(why)"
    case .tls(let why): "the TLS session with the broker failed: \(why)"
    case .refused(.protocolVersion): "the broker does not speak MQTT 3.1.1"
    case .refused(.identifier): "the broker refused the client id; check it, and the prefixes that the broker allows"
    case .refused(.unavailable): "the broker says that it is not available"
    case .refused(.credentials): "the broker refused the user name or the password; check both, and the broker's password file"
    case .refused(.notAuthorized):
      "the broker does not admit this client; check the user name, the password, and whether the broker allows anonymous clients"
    case .refused(.other(let code)): "the broker refused the connection with code \(code)"
    case .unfit(let why): "the broker lacks a feature that Muster needs: \(why); see broker/README.md"
    case .timedOut(let step): "the broker did not answer in time (\(step))"
    case .lost(let why): "the connection to the broker was lost: \(why)"
    case .requested: "the program dropped the connection"
    }
  }

  /// Whether only a change of configuration, of the broker or of this client, can help. Frequent attempts would only fill the logs of both.
  var needsOperator: Bool {
    switch self {
    case .configuration, .tls, .unfit: true
    case .refused(let refusal): refusal != .unavailable
    case .unreachable, .timedOut, .lost, .requested: false
    }
  }
}
