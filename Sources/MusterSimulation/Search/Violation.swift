/// A condition that must always hold and did not.
package struct Violation: Hashable, Sendable, CustomStringConvertible {
  /// In virtual milliseconds.
  package var time: Int64
  package var what: String

  package var description: String { "\(Double(time) / 1000) s: \(what)" }
}
