private import Glibc

/// An error that can say whether the same work will do later: a full disk passes, a wrong shape does not.
///
/// Work that other people's contributions wait for is never given up for trouble that passes.
package protocol PassingTrouble: Error {
  var isPassing: Bool { get }
}

/// Which of the system's error numbers stand for trouble that passes by itself, or once somebody frees what is used up.
package enum SystemTrouble {
  package static func isPassing(_ code: Int32) -> Bool { isDiskFull(code) || exhausted.contains(code) }

  /// No space, over quota, or over a file size limit.
  package static func isDiskFull(_ code: Int32) -> Bool { [ENOSPC, EDQUOT, EFBIG].contains(code) }

  private static let exhausted: Set<Int32> = [
    EMFILE, ENFILE, ENOMEM, ENOBUFS, EAGAIN, EINTR, EBUSY, EIO, ETIMEDOUT, ESTALE,
  ]
}
