import Glibc
import MusterSchema

/// Data goes to standard output, everything else to standard error, unbuffered.
enum Console {
  /// A line of data.
  ///
  /// - Throws: ``CommandError`` when nobody reads any more.
  static func print(_ line: String) throws(CommandError) { try write("\(line)\n") }

  /// Data without a line's end.
  static func write(_ text: String) throws(CommandError) {
    guard send(text, to: STDOUT_FILENO) else {
      // A reader that went away, `| head`, needs no explanation.
      let why = errno == EPIPE ? "" : "the output cannot be written: \(String(cString: strerror(errno)))"
      throw CommandError(.unexpected, why)
    }
  }

  /// A line for the person at the terminal. If it cannot be written, there is nobody to tell.
  static func note(_ line: String) { _ = send("\(line)\n", to: STDERR_FILENO) }

  /// A part of a line for the person at the terminal.
  static func progress(_ text: String) { _ = send(text, to: STDERR_FILENO) }

  /// A last word that may get lost.
  static func tryToPrint(_ text: String) { _ = send("\(text)\n", to: STDOUT_FILENO) }

  // Not inlined, these and `show(one:as:)`: Swift 6.3's optimizer crashes on an asynchronous `run()` that it has inlined them into
  // ("While splitting coroutine", in release builds only).

  /// The payload, or its rows.
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

  /// One value, one line: for streams.
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
          // A terminal in non-blocking mode (its other end is a pipe of somebody else's): wait for room.
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
