import Glibc

/// Facts about this process and its machine from the kernel.
enum HostFacts {
  static var isRoot: Bool { geteuid() == 0 }

  /// For example `x86_64` and `linux`.
  static let name: (architecture: String, system: String) = {
    var name = utsname()
    guard uname(&name) == 0 else { return ("unknown", "linux") }
    func text<T>(_ field: T) -> String {
      withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    return (text(name.machine), text(name.sysname).lowercased())
  }()
}
