import Glibc

/// A system call on a file that failed.
package struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The step that failed. The raw value completes the sentence "PATH cannot be …".
  package enum Action: String, Sendable {
    case made, opened, read, written, renamed, locked
    case madeDurable = "made durable"
    case changed = "given the required permissions"
  }

  package let action: Action
  package let path: String
  /// The error number (errno).
  package let code: Int32

  package init(_ action: Action, _ path: String, _ code: Int32) {
    self.action = action
    self.path = path
    self.code = code
  }

  package var isMissing: Bool { code == ENOENT || code == ENOTDIR }
  package var isDiskFull: Bool { SystemTrouble.isDiskFull(code) }
  /// The system's own text for the error number.
  package var reason: String { String(cString: strerror(code)) }
  package var description: String { "\(path) cannot be \(action.rawValue): \(reason)" }
}

extension FileError: PassingTrouble {
  package var isPassing: Bool { SystemTrouble.isPassing(code) }
}
