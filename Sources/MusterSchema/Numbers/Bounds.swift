/// The range of a number from outside: from an HTTP head, JSON, a topic's payload or a configuration.
///
/// Every such number is checked against a range before it is used in a computation. The named ranges are small enough that a product with
/// 1,000, a `Duration`, and a sum of 1,000,000,000 counts cannot overflow. A sum of bytes can overflow; use `saturatingSum`.
package struct Bounds<Number: Comparable & Sendable>: Sendable {
  package let range: ClosedRange<Number>

  package init(_ range: ClosedRange<Number>) { self.range = range }

  /// Returns false for NaN, too.
  package func contains(_ number: Number) -> Bool { range.contains(number) }

  /// The number, limited to the range; the lower bound for NaN.
  package func limited(_ number: Number) -> Number {
    if contains(number) { return number }
    return number > range.upperBound ? range.upperBound : range.lowerBound
  }
}

extension Bounds<Int> {
  /// Bytes of one body, file or model: less than a pebibyte.
  package static var bytes: Bounds { Bounds(0...(1 << 50) - 1) }
  /// Devices, rounds, attempts, revisions: at most 1,000,000,000.
  package static var count: Bounds { Bounds(0...1_000_000_000) }
  /// Bytes that a task transfers in total.
  package static var traffic: Bounds { Bounds(0...1 << 56) }
  /// Three-digit HTTP statuses.
  package static var status: Bounds { Bounds(100...999) }

  /// Reads a number of digits only, without a sign; `nil` for anything else, and for a number out of the range.
  package func read(_ text: some StringProtocol) -> Int? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text), contains(number) else { return nil }
    return number
  }
}

extension Bounds<Double> {
  /// A time to wait, at most about thirty years.
  package static var seconds: Bounds { Bounds(0...1e9) }
  /// The time until a deadline, which may have passed.
  package static var secondsLeft: Bounds { Bounds(-1e9...1e9) }
}

extension Sequence<Int> {
  /// The sum of numbers that are not negative, or `Int.max` if it would be larger.
  package func saturatingSum() -> Int {
    reduce(0) { sum, number in
      let (result, isTooLarge) = sum.addingReportingOverflow(number)
      return isTooLarge ? .max : result
    }
  }
}
