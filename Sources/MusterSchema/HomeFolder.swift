internal import Glibc

/// The home folder of the user that this process runs as.
package enum HomeFolder {
  /// `HOME`, and without it what the password file says. Never a guess: files in a folder that others can write to, or that depends on where
  /// the program was started, are not safe there.
  ///
  /// - Returns: an absolute path; nil when neither names one.
  package static func path(environment: [String: String]) -> String? {
    if let home = environment["HOME"], home.hasPrefix("/") { return home }
    return inPasswordFile(geteuid())
  }

  /// `$XDG_STATE_HOME`, or `.local/state` in the home folder; nil when there is none.
  package static func state(environment: [String: String]) -> String? {
    // The specification: a relative path is to be ignored.
    if let folder = environment["XDG_STATE_HOME"], folder.hasPrefix("/") { return folder }
    return path(environment: environment).map { $0 == "/" ? "/.local/state" : "\($0)/.local/state" }
  }

  /// What a setting's error says when there is no home folder.
  package static let missing = "is missing: neither HOME nor the password file names a home folder to put it into"

  static func inPasswordFile(_ user: uid_t) -> String? {
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: 16 << 10)
    guard getpwuid_r(user, &entry, &buffer, buffer.count, &found) == 0, found != nil, let folder = entry.pw_dir else { return nil }
    let path = String(cString: folder)
    return path.hasPrefix("/") ? path : nil
  }
}
