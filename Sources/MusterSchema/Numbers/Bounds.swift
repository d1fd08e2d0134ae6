/// The range of a number that comes from outside: out of an HTTP head, JSON, a topic's payload or a configuration.
///
/// Every such number is checked against one of these before anything is computed with it. The named ranges are small enough that their product
/// with 1,000 and a `Duration` of them cannot overflow, and neither can a sum of a thousand million counts. Sums of bytes can:
/// use `saturatingSum`.
package struct Bounds<Number: Comparable & Sendable>: Sendable {
  package let range: ClosedRange<Number>

  package init(_ range: ClosedRange<Number>) { self.range = range }

  /// False for a NaN, too.
  package func contains(_ number: Number) -> Bool { range.contains(number) }

  /// The number, or the end of the range that is nearest to it; the least for a NaN.
  package func limited(_ number: Number) -> Number {
    if contains(number) { return number }
    return number > range.upperBound ? range.upperBound : range.lowerBound
  }
}

extension Bounds<Int> {
  /// Bytes of one body, file or model: up to a pebibyte less one byte.
  package static var bytes: Bounds { Bounds(0...(1 << 50) - 1) }
  /// Devices, rounds, attempts, revisions: up to a thousand million.
  package static var count: Bounds { Bounds(0...1_000_000_000) }
  /// Bytes added up over the life of a task.
  package static var traffic: Bounds { Bounds(0...1 << 56) }
  /// The statuses that HTTP has room for.
  package static var status: Bounds { Bounds(100...999) }

  /// A number that is written in digits and nothing else, no sign; nil for anything else, and outside of the range.
  package func read(_ text: some StringProtocol) -> Int? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text), contains(number) else { return nil }
    return number
  }
}

extension Bounds<Double> {
  /// A time to wait: up to some thirty years.
  package static var seconds: Bounds { Bounds(0...1e9) }
  /// A time that is left, which may have run out.
  package static var secondsLeft: Bounds { Bounds(-1e9...1e9) }
}

extension Sequence<Int> {
  /// The sum of numbers from 0, or `Int.max` if it would be larger.
  package func saturatingSum() -> Int {
    reduce(0) { sum, number in
      let (result, isTooLarge) = sum.addingReportingOverflow(number)
      return isTooLarge ? .max : result
    }
  }
}
