/// A line on standard error that is redrawn on a terminal. Elsewhere only final lines are written.
struct ProgressLine: Sendable {
  private let terminal = Terminal.error

  func show(_ text: String) {
    if terminal.isTerminal { Console.progress("\r\(text.cut(to: terminal.width))\u{1B}[K") }
  }

  func end(_ text: String) {
    if terminal.isTerminal { Console.progress("\r\u{1B}[K") }
    Console.note(text)
  }
}
