/// One line on standard error that replaces itself on a terminal; elsewhere only what is final.
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
