internal import Glibc

/// The home folder of the user that this process runs as.
package enum HomeFolder {
  /// `HOME`, or the home folder in the password file if `HOME` is not set to an absolute path.
  ///
  /// There is no other fallback: files would not be safe in a folder that other users can write to, or that depends on where the program
  /// was started.
  ///
  /// - Returns: an absolute path; `nil` if neither gives one.
  package static func path(environment: [String: String]) -> String? {
    if let home = environment["HOME"], home.hasPrefix("/") { return home }
    return inPasswordFile(geteuid())
  }

  /// `$XDG_STATE_HOME`, or `.local/state` in the home folder; `nil` if there is no home folder.
  package static func state(environment: [String: String]) -> String? {
    // The XDG specification says that relative paths must be ignored.
    if let folder = environment["XDG_STATE_HOME"], folder.hasPrefix("/") { return folder }
    return path(environment: environment).map { $0 == "/" ? "/.local/state" : "\($0)/.local/state" }
  }

  /// The error of a setting whose default needs a home folder when there is none.
  package static let missing = "is missing and has no default: neither HOME nor the password file names a home folder"

  static func inPasswordFile(_ user: uid_t) -> String? {
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: 16 << 10)
    guard getpwuid_r(user, &entry, &buffer, buffer.count, &found) == 0, found != nil, let folder = entry.pw_dir else { return nil }
    let path = String(cString: folder)
    return path.hasPrefix("/") ? path : nil
  }
}
