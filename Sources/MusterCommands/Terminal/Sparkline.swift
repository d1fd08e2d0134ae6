/// A small bar chart of a series, such as `▁▂▄▆█`.
enum Sparkline {
  private static let bars: [Character] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]

  /// - Parameters:
  ///   - values: the series. `nil` and values that are not finite leave a gap.
  ///   - width: the number of characters. Only the newest values are shown.
  static func text(_ values: [Double?], width: Int = 24) -> String {
    let shown = values.suffix(max(0, width)).map { value in value.flatMap { $0.isFinite ? $0 : nil } }
    let known = shown.compactMap { $0 }
    guard let low = known.min(), let high = known.max() else { return "" }
    return String(
      shown.map { value in
        guard let value else { return " " }
        guard high > low else { return bars[3] }
        // Half of each value is used, so that the difference of two extreme values does not overflow.
        let position = (value / 2 - low / 2) / (high / 2 - low / 2) * Double(bars.count - 1)
        return bars[position.isFinite ? min(bars.count - 1, max(0, Int(position.rounded()))) : 3]
      })
  }
}

/// A progress bar, such as `[██████░░░░]`.
enum ProgressBar {
  static func text(_ fraction: Double, width: Int = 30) -> String {
    let safe = fraction.isFinite ? min(max(fraction, 0), 1) : 0
    let full = Int((safe * Double(width)).rounded())
    return String(repeating: "█", count: full) + String(repeating: "░", count: width - full)
  }
}
