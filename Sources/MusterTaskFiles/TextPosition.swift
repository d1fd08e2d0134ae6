/// A position in a text. Lines and columns count from 1.
package struct TextPosition: Hashable, Sendable, CustomStringConvertible {
  package var line: Int
  package var column: Int

  package var description: String { "\(line):\(column)" }
}

/// The reason why a text is not YAML that corresponds to JSON, such as `7:3: did not find expected key`.
package struct YAMLProblem: Error, Hashable, CustomStringConvertible {
  package var position: TextPosition?
  package var message: String

  package var description: String { "\(position.map { "\($0):" } ?? "") \(message)" }
}
