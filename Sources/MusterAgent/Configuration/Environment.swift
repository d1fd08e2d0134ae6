import Glibc
import MusterSchema

extension AgentConfiguration {
  /// The environment of the process.
  package static var environment: [String: String] {
    var variables: [String: String] = [:]
    var next = environ
    while let entry = next.pointee {
      let text = String(cString: entry)
      if let equals = text.firstIndex(of: "=") { variables[String(text[..<equals])] = String(text[text.index(after: equals)...]) }
      next += 1
    }
    return variables
  }
}

/// The version for `--version`.
package enum MusterAgentVersion {
  package static var text: String { Muster.version }
}
