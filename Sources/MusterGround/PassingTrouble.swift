private import Glibc

/// An error that can say whether the same work may succeed later. A full disk passes, a wrong tensor shape does not.
///
/// Work that other nodes' contributions wait for is never given up because of trouble that passes.
package protocol PassingTrouble: Error {
  var isPassing: Bool { get }
}

/// Says which system error numbers stand for trouble that passes by itself, or once an operator frees the exhausted resource.
package enum SystemTrouble {
  package static func isPassing(_ code: Int32) -> Bool { isDiskFull(code) || exhausted.contains(code) }

  /// Whether the number means no space, over quota, or over a file size limit.
  package static func isDiskFull(_ code: Int32) -> Bool { [ENOSPC, EDQUOT, EFBIG].contains(code) }

  private static let exhausted: Set<Int32> = [
    EMFILE, ENFILE, ENOMEM, ENOBUFS, EAGAIN, EINTR, EBUSY, EIO, ETIMEDOUT, ESTALE,
  ]
}
