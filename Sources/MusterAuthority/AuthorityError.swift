package import MusterGround

/// The reason why an authority cannot be used, or refuses a request.
package enum AuthorityError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The text says what is wrong.
  case malformed(String)
  case file(FileError)
  /// Other users can read a file that holds a private key.
  case exposed(path: String)
  /// The folder holds authorities already, and replacing them would exclude all members.
  case exists(folder: String)
  /// The folder holds no authorities, because `muster-central init` did not run or did not finish.
  case missing(folder: String)

  package var description: String {
    switch self {
    case .malformed(let what): what
    case .file(let error): "\(error)"
    case .exposed(let path): "other users can read the private key \(path): run chmod 600 \(path)"
    case .exists(let folder): "there are authorities in \(folder) already"
    case .missing(let folder): "there is no authority in \(folder): run muster-central init"
    }
  }

  /// Turns the errors of the certificate library into one of this room.
  static func catching<Result>(_ body: () throws -> Result) throws(AuthorityError) -> Result {
    do { return try body() } catch { throw .malformed("the certificate cannot be made: \(error)") }
  }
}
