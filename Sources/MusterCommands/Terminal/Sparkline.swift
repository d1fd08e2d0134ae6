/// A small picture of a series: `▁▂▄▆█`.
enum Sparkline {
  private static let bars: [Character] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]

  /// - Parameters:
  ///   - values: nil and what is not finite leave a gap.
  ///   - width: characters; the newest values are shown.
  static func text(_ values: [Double?], width: Int = 24) -> String {
    let shown = values.suffix(max(0, width)).map { value in value.flatMap { $0.isFinite ? $0 : nil } }
    let known = shown.compactMap { $0 }
    guard let low = known.min(), let high = known.max() else { return "" }
    return String(
      shown.map { value in
        guard let value else { return " " }
        guard high > low else { return bars[3] }
        // Halves, for what lies further apart than a number can say.
        let position = (value / 2 - low / 2) / (high / 2 - low / 2) * Double(bars.count - 1)
        return bars[position.isFinite ? min(bars.count - 1, max(0, Int(position.rounded()))) : 3]
      })
  }
}

/// `[██████░░░░]`
enum ProgressBar {
  static func text(_ fraction: Double, width: Int = 30) -> String {
    let safe = fraction.isFinite ? min(max(fraction, 0), 1) : 0
    let full = Int((safe * Double(width)).rounded())
    return String(repeating: "█", count: full) + String(repeating: "░", count: width - full)
  }
}
