package import FoundationEssentials

/// A date and time in UTC, to the millisecond, written as `2026-11-29T00:59:40.123Z` (RFC 3339).
///
/// It tells people when a task was pushed, a round closed, or a node was last heard. Nothing in the protocol depends on it, so a wrong
/// clock shows wrong dates but does no harm.
package struct WallTime: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// Milliseconds since 1970-01-01T00:00:00Z, limited to the years 1970 to 9999.
  package let milliseconds: Int64

  private static let range: ClosedRange<Int64> = 0...253_402_300_799_999

  /// Times outside of these years are replaced by the nearest time within.
  package init(milliseconds: Int64) {
    self.milliseconds = min(max(milliseconds, Self.range.lowerBound), Self.range.upperBound)
  }

  package init(_ date: Date) {
    let milliseconds = (date.timeIntervalSince1970 * 1000).rounded()
    let bounds = Double(Self.range.lowerBound)...Double(Self.range.upperBound)
    self.init(milliseconds: milliseconds.isNaN ? 0 : Int64(min(max(milliseconds, bounds.lowerBound), bounds.upperBound)))
  }

  package static var now: WallTime { WallTime(Date.now) }

  package var date: Date { Date(timeIntervalSince1970: Double(milliseconds) / 1000) }

  private static var format: Date.ISO8601FormatStyle { Date.ISO8601FormatStyle(includingFractionalSeconds: true) }

  /// - Returns: `nil` unless the string has the form of ``description``.
  package init?(_ text: String) {
    do {
      self.init(try Self.format.parse(text))
    } catch {
      return nil
    }
  }

  /// The RFC 3339 form. Adds half a millisecond, because the format truncates, and the Double of a millisecond may be slightly too small.
  package var description: String { Self.format.format(Date(timeIntervalSince1970: (Double(milliseconds) + 0.5) / 1000)) }

  /// The form for tables: `2026-11-29 00:59:40 UTC`.
  package var words: String { "\(description.prefix(10)) \(description.dropFirst(11).prefix(8)) UTC" }

  package static func < (left: WallTime, right: WallTime) -> Bool { left.milliseconds < right.milliseconds }
}

extension WallTime: Codable {
  package init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let time = WallTime(text) else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "\"\(text.shown(40))\" is not a time like 2026-11-29T00:59:40.123Z"))
    }
    self = time
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
