import Glibc
import MusterTrainers

/// A file that could not be read or written.
struct FileError: Error, Hashable, CustomStringConvertible {
  let path: String
  let code: Int32

  var isMissing: Bool { code == ENOENT || code == ENOTDIR }
  var isFull: Bool { code == ENOSPC || code == EDQUOT }
  var reason: String { String(cString: strerror(code)) }
  var description: String { "\(path): \(reason)" }
}

/// The few things that the agent does with files, straight on the system's calls.
enum Files {
  static var isRoot: Bool { geteuid() == 0 }

  static var workingFolder: String {
    guard let path = getcwd(nil, 0) else { return "." }
    defer { free(path) }
    return String(cString: path)
  }
  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// What the kernel says of the machine: `x86_64`, `linux`.
  static let machine: (architecture: String, system: String) = {
    var name = utsname()
    guard uname(&name) == 0 else { return ("unknown", "linux") }
    func text<T>(_ field: T) -> String {
      withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    return (text(name.machine), text(name.sysname).lowercased())
  }()

  static func read(_ path: String, maximumBytes: Int) throws(FileError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(path: path, code: errno) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw FileError(path: path, code: errno) }
      guard count > 0 else { return bytes }
      bytes += buffer[..<count]
      guard bytes.count <= maximumBytes else { throw FileError(path: path, code: EFBIG) }
    }
  }

  /// Writes beside the file and renames, so that whoever looks sees the old bytes or the new ones.
  ///
  /// - Parameter durable: on the disk before it returns, a loss of power included.
  static func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o600, durable: Bool) throws(FileError) {
    let temporary = "\(path).new"
    // What lies there is a leftover, or a trainer's link to somewhere else.
    unlink(temporary)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw FileError(path: temporary, code: errno) }
    var code: Int32 = 0
    var done = 0
    while done < bytes.count, code == 0 {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress.map { $0 + done }, bytes.count - done) }
      if count >= 0 { done += count } else if errno != EINTR { code = errno }
    }
    if code == 0, durable, fsync(descriptor) != 0 { code = errno }
    if close(descriptor) != 0, code == 0 { code = errno }
    if code == 0, Glibc.rename(temporary, path) != 0 { code = errno }
    guard code == 0 else {
      unlink(temporary)
      throw FileError(path: path, code: code)
    }
    if durable { try synchronize(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])) }
  }

  /// Flushes a file or a folder.
  static func synchronize(_ path: String) throws(FileError) {
    let descriptor = open(path.isEmpty ? "." : path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(path: path, code: errno) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw FileError(path: path, code: errno) }
  }

  /// Makes a folder and those above it.
  static func makeFolder(_ path: String, mode: mode_t = 0o700) throws(FileError) {
    if mkdir(path, mode) == 0 || errno == EEXIST { return }
    let code = errno
    guard code == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else { throw FileError(path: path, code: code) }
    try makeFolder(String(path[..<slash]), mode: mode)
    guard mkdir(path, mode) == 0 || errno == EEXIST else { throw FileError(path: path, code: errno) }
  }

  /// Names in a folder, sorted; none when it cannot be read.
  static func names(in folder: String) -> [String] {
    guard let handle = opendir(folder) else { return [] }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Removes a file, or a folder with everything in it. Follows no link, not even one that a trainer puts in a folder's place meanwhile. A path
  /// that does not exist is fine; what cannot be removed stays.
  static func remove(_ path: String) { FileTree.remove(path) }

  /// Whether there is anything of this name, a link that leads nowhere included.
  static func isThere(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  /// Seconds since 1970 of the last change; nil when it is not there.
  static func modified(_ path: String) -> Int? {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mtim.tv_sec : nil
  }

  /// What changes when somebody writes to a file.
  struct Stamp: Hashable {
    fileprivate var size: Int
    fileprivate var seconds: Int
    fileprivate var nanoseconds: Int
    fileprivate var file: UInt64
  }

  /// Nil when it is not there.
  static func stamp(_ path: String) -> Stamp? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return Stamp(
      size: Int(status.st_size), seconds: Int(status.st_mtim.tv_sec), nanoseconds: Int(status.st_mtim.tv_nsec), file: UInt64(status.st_ino))
  }

  static func setMode(_ path: String, _ mode: mode_t) throws(FileError) {
    guard chmod(path, mode) == 0 else { throw FileError(path: path, code: errno) }
  }

  /// Bytes of a file itself: a link has few, a folder none.
  static func ownSize(_ path: String) -> Int? {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG ? Int(status.st_size) : nil
  }

  static func size(_ path: String) -> Int? {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : nil
  }
}

extension Files {
  static let invalidArgument = EINVAL

  static func rename(_ path: String, to other: String) throws(FileError) {
    guard Glibc.rename(path, other) == 0 else { throw FileError(path: other, code: errno) }
  }

  /// Takes a lock that lasts until the process ends; nil when another process has it.
  static func lock(_ path: String) throws(FileError) -> Int32? {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw FileError(path: path, code: errno) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      return nil
    }
    return descriptor
  }

  static func unlock(_ descriptor: Int32) { close(descriptor) }
}

extension Files {
  /// Permission bits; nil when it is not there.
  static func mode(_ path: String) -> UInt32? {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_mode & 0o777 : nil
  }
}
