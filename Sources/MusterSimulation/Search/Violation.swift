/// Something that must never be, and was.
package struct Violation: Hashable, Sendable, CustomStringConvertible {
  /// Virtual milliseconds.
  package var time: Int64
  package var what: String

  package var description: String { "\(Double(time) / 1000) s: \(what)" }
}
