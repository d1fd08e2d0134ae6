import Glibc
import Logging

/// One log event as a line of text.
struct LogLine {
  enum Format: Hashable {
    /// The line begins with time and level.
    case timed
    /// The line begins with a priority, for systemd's journal.
    case journal
  }

  private let level: Logger.Level
  private let rest: String

  init(_ level: Logger.Level, label: String, source: String, _ metadata: Logger.Metadata, _ message: String) {
    self.level = level
    var text = "\(label):"
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { text += " \(key)=\(value)" }
    rest = Self.onOneLine("\(text) [\(source)] \(message)")
  }

  func text(_ format: Format, at time: timespec) -> String {
    switch format {
    case .timed: "\(Self.timestamp(time)) \(level) \(rest)\n"
    case .journal: "<\(priority)>\(rest)\n"
    }
  }

  /// The number of the level in syslog(3).
  private var priority: Int {
    switch level {
    case .critical: 2
    case .error: 3
    case .warning: 4
    case .notice: 5
    case .info: 6
    case .debug, .trace: 7
    }
  }

  /// Local time, ISO 8601 with milliseconds.
  private static func timestamp(_ time: timespec) -> String {
    var seconds = time.tv_sec
    var parts = tm()
    localtime_r(&seconds, &parts)
    func text(_ pattern: String) -> String {
      var buffer = [CChar](repeating: 0, count: 64)
      let count = strftime(&buffer, buffer.count, pattern, &parts)
      return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    let milliseconds = String(1000 + time.tv_nsec / 1_000_000).dropFirst()
    return "\(text("%Y-%m-%dT%H:%M:%S")).\(milliseconds)\(text("%z"))"
  }

  /// Replaces control characters by visible escapes, because text from the network must not end a line or move a terminal's cursor.
  private static func onOneLine(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    var line = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\n": line += "\\n"
      case "\t": line += "\\t"
      case _ where isControl(scalar): line += "\\u{\(String(scalar.value, radix: 16))}"
      default: line.unicodeScalars.append(scalar)
      }
    }
    return line
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) || scalar.value == 0x2028 || scalar.value == 0x2029
  }
}

extension LogLine.Format {
  /// The journal's format if standard error is the journal's socket. systemd gives that socket's device and inode in `JOURNAL_STREAM`, and
  /// the comparison notices when standard error was redirected since.
  static let ofStandardError: LogLine.Format = {
    var status = stat()
    guard let stream = getenv("JOURNAL_STREAM"), fstat(STDERR_FILENO, &status) == 0 else { return .timed }
    return String(cString: stream) == "\(status.st_dev):\(status.st_ino)" ? .journal : .timed
  }()
}
