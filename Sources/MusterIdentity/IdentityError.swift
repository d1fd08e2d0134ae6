package import MusterGround

/// The reason why an identity cannot be read or written.
package enum IdentityError: Error, Hashable, Sendable, CustomStringConvertible {
  case file(FileError)
  /// The text says what is wrong.
  case malformed(String)
  /// Other users can read a file that holds a private key.
  case exposed(path: String)

  package var description: String {
    switch self {
    case .file(let error): "\(error)"
    case .malformed(let what): what
    case .exposed(let path): "other users can read the private key \(path): run chmod 600 \(path)"
    }
  }
}
