internal import Glibc

/// The state of a resident trainer's files when it was started. If they change, it is started again, so as not to train with old code.
///
/// Covers the program, each argument that is a file, and modules of Python code that an argument names (`trainer.py`, `trainer.py:train`,
/// `module`, `package.module:train`, or an app's folder): those beside it or in it, one folder deep. Libraries elsewhere are not watched.
struct TrainerSources: Hashable {
  private struct Stamp: Hashable {
    var size: Int
    var seconds: Int
    var nanoseconds: Int
    var file: UInt64
  }

  private var stamps: [String: Stamp] = [:]
  /// Maximum number of entries read from one folder, far above what a real package has.
  private static let mostEntries = 2000

  init(_ program: TrainerProgram) {
    let path = program.environment["PATH"] ?? getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
    let folder = program.folder ?? "."
    do throws(TrainerError) {
      note(try ChildProcess.find(program.command.first ?? "", path: path, folder: program.folder))
    } catch {
      // Starting the trainer reports this error.
    }
    for argument in program.command.dropFirst() where !argument.hasPrefix("-") && !argument.isEmpty {
      let name = argument.lastIndex(of: ":").map { String(argument[..<$0]) } ?? argument
      for candidate in [argument, name, "\(name.replacing(".", with: "/")).py", "\(name.replacing(".", with: "/"))/__init__.py"] {
        let file = candidate.hasPrefix("/") ? candidate : "\(folder)/\(candidate)"
        if note(file) {
          if file.hasSuffix(".py") { noteModules(in: String(file[..<(file.lastIndex(of: "/") ?? file.startIndex)]), below: false) }
        } else if candidate == argument {
          noteModules(in: file, below: true)
        }
      }
    }
  }

  @discardableResult
  private mutating func note(_ file: String) -> Bool {
    var status = stat()
    guard stat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return false }
    stamps[file] = Stamp(
      size: Int(status.st_size), seconds: Int(status.st_mtim.tv_sec), nanoseconds: Int(status.st_mtim.tv_nsec), file: UInt64(status.st_ino))
    return true
  }

  /// - Parameter below: whether to include the folders in it.
  private mutating func noteModules(in folder: String, below: Bool) {
    guard let handle = opendir(folder) else { return }
    defer { closedir(handle) }
    var count = 0
    while count < Self.mostEntries, let entry = readdir(handle) {
      count += 1
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name.hasSuffix(".py") || name == "pyproject.toml" {
        note("\(folder)/\(name)")
      } else if below, !name.hasPrefix("."), entry.pointee.d_type == UInt8(DT_DIR) {
        noteModules(in: "\(folder)/\(name)", below: false)
      }
    }
  }
}
