import Glibc
import MusterGround
package import MusterSchema

/// The reason why an operation on the state folder failed. The message says what to do about it.
package enum StorageError: Error, Hashable, Sendable, CustomStringConvertible {
  /// No space, over quota, or over a file size limit. Nothing was changed.
  case diskFull(String)
  /// Another process uses the state folder, or holds the database.
  case busy(String)
  /// The state is damaged, or was not written by Muster.
  case corrupt(String)
  /// A newer version of the program wrote the state.
  case newer(String)
  /// A body is larger than it may be.
  case tooLarge(maximumBytes: Int)
  /// Another request continues the same partial upload.
  case superseded
  /// Another request has all bytes of the same partial upload, and makes a contribution of them.
  case claimed
  /// There is no room for another partial upload now.
  case crowded(String)
  /// The system has no descriptor or memory left, or the device did not answer. It may pass.
  case exhausted(String)
  /// A record of this task can never be stored, whatever is done about the disk.
  case unstorable(TaskID?, String)
  case io(String)

  package var description: String {
    switch self {
    case .diskFull(let what): "the disk is full: \(what); free some space or raise the quota (nothing was lost)"
    case .busy(let what): what
    case .corrupt(let what): "the state is damaged: \(what)"
    case .newer(let what): what
    case .tooLarge(let bytes): "the body is larger than the \(bytes) bytes allowed"
    case .superseded: "another request has taken over this upload"
    case .claimed: "another request is completing this upload; try again in a moment"
    case .crowded(let what): "no room for another upload: \(what)"
    case .exhausted(let what), .unstorable(_, let what), .io(let what): what
    }
  }

  /// Whether the same records would be refused again, whatever is done about the disk.
  package var isUnstorable: Bool { if case .unstorable = self { true } else { false } }

  /// Classifies an error number of the system.
  init(_ code: Int32, _ what: String) {
    let text = "\(what): \(String(cString: strerror(code)))"
    if SystemTrouble.isDiskFull(code) {
      self = .diskFull(text)
    } else {
      self = SystemTrouble.isPassing(code) ? .exhausted(text) : .io(text)
    }
  }
}

extension StorageError: PassingTrouble {
  /// Whether the trouble passes by itself or once an operator frees space, so that the same operation can succeed later.
  package var isPassing: Bool {
    switch self {
    case .diskFull, .busy, .crowded, .superseded, .claimed, .exhausted: true
    case .corrupt, .newer, .tooLarge, .unstorable, .io: false
    }
  }

  package var isDiskFull: Bool { if case .diskFull = self { true } else { false } }
}
