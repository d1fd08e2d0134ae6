import Glibc

/// Writes a line to standard error for the person who started the program, before there is a logger.
package enum StandardError {
  package static func write(_ line: String) {
    let bytes = Array("\(line)\n".utf8)
    _ = Glibc.write(STDERR_FILENO, bytes, bytes.count)
  }
}
