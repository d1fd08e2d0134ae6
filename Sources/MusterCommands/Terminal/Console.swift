import Glibc
import MusterSchema

/// Writes data to standard output and everything else to standard error, both unbuffered.
enum Console {
  /// Writes a line of data.
  ///
  /// - Throws: ``CommandError`` when the output cannot be written, for example because its reader is gone.
  static func print(_ line: String) throws(CommandError) { try write("\(line)\n") }

  /// Writes data without a newline at the end.
  static func write(_ text: String) throws(CommandError) {
    guard send(text, to: STDOUT_FILENO) else {
      // A reader that stops early, such as `| head`, needs no error message.
      let why = errno == EPIPE ? "" : "the output cannot be written: \(String(cString: strerror(errno)))"
      throw CommandError(.unexpected, why)
    }
  }

  /// Writes a line for the person at the terminal. A failure to write it is ignored.
  static func note(_ line: String) { _ = send("\(line)\n", to: STDERR_FILENO) }

  /// Writes a part of a line for the person at the terminal.
  static func progress(_ text: String) { _ = send(text, to: STDERR_FILENO) }

  /// Writes a line of data, ignoring a failure. For the last output of the program.
  static func tryToPrint(_ text: String) { _ = send("\(text)\n", to: STDOUT_FILENO) }

  // These functions and `show(one:as:)` must not be inlined: the optimizer of Swift 6.3 crashes on an asynchronous `run()` that it has
  // inlined them into ("While splitting coroutine", in release builds only).

  /// Shows the payloads as JSON, or as the rows of a table.
  @inline(never)
  static func show<T: Tabular>(_ items: [T], as format: OutputFormat) throws {
    switch format {
    case .json: try show(json: items)
    case .table:
      try show(T.table(items))
    }
  }

  static func show(_ table: Table) throws { for line in table.lines(ink: Ink(Terminal.output)) { try print(line) } }

  @inline(never)
  static func show(json value: some Encodable) throws {
    try print(String(decoding: try JSON.encode(value, pretty: true), as: UTF8.self))
  }

  /// Shows one value on one line, for streams.
  @inline(never)
  static func show(jsonLine value: some Encodable) throws {
    try print(String(decoding: try JSON.encode(value), as: UTF8.self))
  }

  private static func send(_ text: String, to descriptor: Int32) -> Bool {
    var text = text
    return text.withUTF8 { bytes in
      var rest = UnsafeRawBufferPointer(bytes)
      while !rest.isEmpty {
        let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
        if count < 0 {
          if errno == EINTR { continue }
          // The terminal is in non-blocking mode, because it shares a pipe with another program: wait for room.
          if errno == EAGAIN {
            var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            Glibc.poll(&poll, 1, 1000)
            continue
          }
          return false
        }
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      }
      return true
    }
  }
}
