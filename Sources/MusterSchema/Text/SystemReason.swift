internal import FoundationEssentials
internal import Glibc

/// The reason why a file operation failed, in the system's words: `No such file or directory`.
///
/// Foundation's own sentences name neither the file as it was given nor a cause to look for.
package func systemReason(_ error: any Error) -> String {
  switch error {
  case let error as POSIXError: String(cString: strerror(error.code.rawValue))
  case let error as CocoaError: error.underlying.map { systemReason($0) } ?? words(error.code)
  default: "\(error)"
  }
}

private func words(_ code: CocoaError.Code) -> String {
  let number: Int32? =
    switch code {
    case .fileNoSuchFile, .fileReadNoSuchFile: ENOENT
    case .fileReadNoPermission, .fileWriteNoPermission: EACCES
    case .fileWriteOutOfSpace: ENOSPC
    case .fileWriteFileExists: EEXIST
    case .fileReadTooLarge: EFBIG
    case .fileWriteVolumeReadOnly: EROFS
    default: nil
    }
  return number.map { String(cString: strerror($0)) } ?? "file error \(code.rawValue)"
}
