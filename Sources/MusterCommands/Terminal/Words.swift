import Glibc

/// Formats numbers and times for people.
enum Words {
  /// The number with `digits` decimal places.
  static func number(_ value: Double, digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e12 else { return "\(value)" }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = Int((abs(value) * scale).rounded())
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard digits > 0 else { return "\(sign)\(scaled)" }
    let text = String(scaled)
    let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
    return "\(sign)\(padded.dropLast(digits)).\(padded.suffix(digits))"
  }

  static func percent(_ fraction: Double) -> String {
    fraction.isFinite ? "\(Int((min(max(fraction, 0), 1) * 100).rounded())) %" : "? %"
  }

  static func seconds(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e9 else { return "\(seconds) s" }
    let whole = Int(max(0, seconds).rounded())
    switch whole {
    case ..<10 where seconds != Double(whole): return "\(number(seconds, digits: 1)) s"
    case ..<120: return "\(whole) s"
    case ..<7200: return "\(whole / 60) min"
    case ..<172_800: return "\(whole / 3600) h"
    default: return "\(whole / 86400) d"
    }
  }

  static func bytes(_ count: Int) -> String {
    switch count {
    case ..<1024: "\(count) B"
    case ..<(1 << 20): "\(number(Double(count) / 1024, digits: 1)) KiB"
    case ..<(1 << 30): "\(number(Double(count) / 1_048_576, digits: 1)) MiB"
    default: "\(number(Double(count) / 1_073_741_824, digits: 1)) GiB"
    }
  }

  /// A metric's value with four decimal places; a value below 0.001 with its first three digits.
  static func measure(_ value: Double) -> String {
    guard value != 0, value.isFinite, value.magnitude < 0.001 else { return number(value, digits: 4) }
    var (scaled, exponent) = (value.magnitude, 0)
    while scaled < 0.9995, exponent < 400 {
      scaled *= 10
      exponent += 1
    }
    return "\(value < 0 ? "-" : "")\(number(scaled, digits: 2))e-\(exponent)"
  }

  /// The metrics' names in a useful order: the task's own metric unless it is loss or accuracy, then loss and accuracy, then the others.
  static func sorted(_ metrics: some Sequence<String>, first: String? = nil) -> [String] {
    let known = Set(metrics)
    let usual = ["loss", "accuracy"]
    let leading = ([first].compactMap { $0 }.filter { !usual.contains($0) } + usual).filter(known.contains)
    var names: [String] = []
    for name in leading + known.sorted() where !names.contains(name) { names.append(name) }
    return names
  }

  /// For example `loss 0.312` and `accuracy 0.9722`, in the order of ``sorted(_:first:)``.
  static func metrics(_ metrics: [String: Double], first: String? = nil) -> [String] {
    sorted(metrics.keys, first: first).compactMap { name in metrics[name].map { "\(name.withoutEscapes) \(measure($0))" } }
  }

  /// The time of day such as `12:03:11`, in the machine's time zone.
  static func clock(_ time: Int) -> String {
    var seconds = time_t(time)
    var parts = tm()
    guard localtime_r(&seconds, &parts) != nil else { return "--:--:--" }
    return [parts.tm_hour, parts.tm_min, parts.tm_sec].map { $0 < 10 ? "0\($0)" : "\($0)" }.joined(separator: ":")
  }

  static var now: String { clock(Glibc.time(nil)) }

  static func count(_ count: Int, _ noun: String, plural: String? = nil) -> String {
    count == 1 ? "1 \(noun)" : "\(count) \(plural ?? "\(noun)s")"
  }
}
