import FoundationEssentials
import Glibc

/// The capabilities of a standard stream.
struct Terminal: Hashable, Sendable {
  var isTerminal: Bool
  var hasColour: Bool
  /// The width in columns.
  var width: Int

  static var output: Terminal { Terminal(descriptor: STDOUT_FILENO, environment: ProcessInfo.processInfo.environment) }
  static var error: Terminal { Terminal(descriptor: STDERR_FILENO, environment: ProcessInfo.processInfo.environment) }

  init(isTerminal: Bool, hasColour: Bool, width: Int) {
    self.isTerminal = isTerminal
    self.hasColour = hasColour
    self.width = width
  }

  private init(descriptor: Int32, environment: [String: String]) {
    let dumb = environment["TERM"] == "dumb"
    isTerminal = isatty(descriptor) == 1 && !dumb
    hasColour = isTerminal && (environment["NO_COLOR"] ?? "").isEmpty
    var size = winsize()
    width = ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 100
  }
}

/// Colors text, if the terminal supports it.
struct Ink: Hashable, Sendable {
  private let hasColour: Bool

  init(_ terminal: Terminal) { hasColour = terminal.hasColour }

  static let none = Ink(Terminal(isTerminal: false, hasColour: false, width: 100))

  func bold(_ text: String) -> String { paint(text, "1") }
  func dim(_ text: String) -> String { paint(text, "2") }
  func red(_ text: String) -> String { paint(text, "31") }
  func green(_ text: String) -> String { paint(text, "32") }
  func yellow(_ text: String) -> String { paint(text, "33") }
  func blue(_ text: String) -> String { paint(text, "36") }

  private func paint(_ text: String, _ code: String) -> String {
    hasColour && !text.isEmpty ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
  }
}

extension String {
  /// The text without control characters except newlines, so that text from elsewhere never moves the cursor.
  var withoutEscapes: String {
    String(
      String.UnicodeScalarView(
        unicodeScalars.map { scalar in
          let isControl = (scalar.value < 0x20 && scalar != "\n") || (scalar.value >= 0x7F && scalar.value < 0xA0)
          return isControl ? "\u{FFFD}" : scalar
        }))
  }

  /// The text padded with spaces to `width` characters.
  func padded(to width: Int, right: Bool = false) -> String {
    let space = String(repeating: " ", count: max(0, width - count))
    return right ? space + self : self + space
  }

  /// Splits the string at spaces into lines of at most `width` characters. A word longer than a line is split, too.
  func wrapped(to width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in split(separator: " ") {
      var word = word
      if !line.isEmpty {
        if line.count + 1 + word.count <= width {
          line += " \(word)"
          continue
        }
        lines.append(line)
      }
      while word.count > width {
        lines.append(String(word.prefix(width)))
        word = word.dropFirst(width)
      }
      line = String(word)
    }
    return line.isEmpty ? lines : lines + [line]
  }

  /// The text cut to `width` visible characters. Escape sequences of colors do not count, and a color is reset at the cut.
  func cut(to width: Int) -> String {
    var shown = ""
    var visible = 0
    var isEscape = false
    var hasColour = false
    for character in self {
      if character == "\u{1B}" { isEscape = true }
      if isEscape {
        shown.append(character)
        hasColour = true
        if character == "m" { isEscape = false }
        continue
      }
      if visible == width - 1, self.visibleCount > width {
        return shown + "…" + (hasColour ? "\u{1B}[0m" : "")
      }
      shown.append(character)
      visible += 1
    }
    return shown
  }

  var visibleCount: Int {
    var visible = 0
    var isEscape = false
    for character in self {
      if character == "\u{1B}" { isEscape = true }
      if !isEscape { visible += 1 }
      if character == "m" { isEscape = false }
    }
    return visible
  }
}

extension StringProtocol {
  func firstRange(of text: String) -> Range<Index>? {
    var index = startIndex
    while index < endIndex {
      if self[index...].hasPrefix(text) { return index..<self.index(index, offsetBy: text.count) }
      index = self.index(after: index)
    }
    return nil
  }
}
