internal import CSpawn
import Glibc

/// Functions on files and folders that call the system directly. All of them block, at most for the disk.
package enum Files {
  // MARK: Reading

  /// Reads a whole file.
  ///
  /// - Throws: EFBIG when the file has more than `limit` bytes.
  package static func read(_ path: String, atMost limit: Int) throws(FileError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(.read, path, errno) }
    defer { close(descriptor) }
    return try readAll(descriptor, path, atMost: limit)
  }

  /// Reads a whole file in a folder that another program can write to.
  ///
  /// Links and pipes are refused: a link could lead to a secret, and reading a pipe could block forever.
  ///
  /// - Throws: EFBIG as ``read(_:atMost:)`` does, ELOOP for a link, EINVAL for a folder, a pipe or a device.
  package static func readUntrusted(_ path: String, atMost limit: Int, followingLinks: Bool = false) throws(FileError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (followingLinks ? 0 : O_NOFOLLOW))
    guard descriptor >= 0 else { throw FileError(.read, path, errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw FileError(.read, path, errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw FileError(.read, path, EINVAL) }
    return try readAll(descriptor, path, atMost: limit)
  }

  /// Reads an open file from its current position to its end.
  package static func readAll(_ descriptor: Int32, _ path: String, atMost limit: Int) throws(FileError) -> [UInt8] {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: max(1, min(limit, 1 << 16)))
    while true {
      let count = Glibc.read(descriptor, &piece, piece.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw FileError(.read, path, errno) }
      guard count > 0 else { return bytes }
      bytes += piece[..<count]
      guard bytes.count <= limit else { throw FileError(.read, path, EFBIG) }
    }
  }

  /// The names in a folder, sorted, without `.` and `..`. The list is empty when the folder does not exist or cannot be read.
  package static func names(in folder: String) -> [String] {
    guard let handle = opendir(folder) else { return [] }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  // MARK: Writing

  /// Writes all bytes at the file's current position. Repeats the call when the system writes only a part.
  package static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, _ path: String) throws(FileError) {
    var done = 0
    while done < bytes.count {
      let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
      if count < 0 {
        if errno == EINTR { continue }
        throw FileError(.written, path, errno)
      }
      done += count
    }
  }

  /// Writes all bytes from an offset on. Several threads may write to one file this way at the same time.
  package static func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at offset: Int, _ path: String
  ) throws(FileError) {
    var done = 0
    while done < bytes.count {
      let count = pwrite(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
      if count < 0 {
        if errno == EINTR { continue }
        throw FileError(.written, path, errno)
      }
      done += count
    }
  }

  package static func write(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws(FileError) {
    let result = bytes.withUnsafeBytes { bytes in Result { () throws(FileError) in try write(bytes, to: descriptor, path) } }
    try result.get()
  }

  /// Writes the bytes to a temporary file and renames it, so that readers see either the old content or the new content.
  ///
  /// - Parameter durable: whether the new content is on the disk, safe from a loss of power, before the function returns.
  package static func replace(_ path: String, with bytes: [UInt8], mode: UInt32 = 0o600, durable: Bool) throws(FileError) {
    let temporary = "\(path).new"
    // A crash may have left a file of this name, or another program may have put a link there.
    unlink(temporary)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
    guard descriptor >= 0 else { throw FileError(.made, temporary, errno) }
    do throws(FileError) {
      do throws(FileError) {
        try write(bytes, to: descriptor, path)
        if durable, fdatasync(descriptor) != 0 { throw FileError(.madeDurable, path, errno) }
      } catch {
        close(descriptor)
        throw error
      }
      // A network file system may report a full disk only when the file is closed.
      guard close(descriptor) == 0 else { throw FileError(.written, path, errno) }
      try rename(temporary, to: path)
    } catch {
      unlink(temporary)
      throw error
    }
    if durable { try makeDurable(folder(of: path)) }
  }

  package static func rename(_ path: String, to other: String) throws(FileError) {
    guard Glibc.rename(path, other) == 0 else { throw FileError(.renamed, other, errno) }
  }

  /// Flushes a file's bytes, or a folder's list of names, to the disk.
  package static func makeDurable(_ path: String) throws(FileError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(.opened, path, errno) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw FileError(.madeDurable, path, errno) }
  }

  /// Makes a folder and its parents. A folder that exists already is fine.
  ///
  /// - Throws: ENOTDIR when the path exists and is not a folder.
  package static func makeFolder(_ path: String, mode: UInt32 = 0o700) throws(FileError) {
    if mkdir(path, mode) != 0, errno != EEXIST {
      let code = errno
      let parent = folder(of: path)
      // When a parent is a file, the recursive call below throws for that parent.
      guard code == ENOENT || code == ENOTDIR, parent != path else { throw FileError(.made, path, code) }
      try makeFolder(parent, mode: mode)
      guard mkdir(path, mode) == 0 || errno == EEXIST else { throw FileError(.made, path, errno) }
    }
    var status = stat()
    guard stat(path, &status) == 0 else { throw FileError(.opened, path, errno) }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw FileError(.opened, path, ENOTDIR) }
  }

  package static func setMode(_ path: String, _ mode: UInt32) throws(FileError) {
    guard chmod(path, mode) == 0 else { throw FileError(.changed, path, errno) }
  }

  /// Removes a file, or a folder with everything in it. A path that does not exist is fine.
  ///
  /// No link is followed, even if one replaces a folder during the removal.
  ///
  /// - Returns: the error number of the first entry that could not be removed, or `nil` when all were.
  @discardableResult
  package static func remove(_ path: String) -> Int32? {
    let code = muster_remove(path)
    return code == 0 ? nil : code
  }

  /// Removes a file whose size is known, without waiting for the disk: freeing a large file takes some file systems tenths of a second. A
  /// large file is renamed first, so its name is free at once, and removed by a thread that may block.
  package static func discard(_ path: String, bytes: Int) {
    guard bytes > largeBytes else {
      unlink(path)
      return
    }
    let gone = "\(path).gone-\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
    // The file may have been removed or renamed already.
    guard Glibc.rename(path, gone) == 0 else { return }
    BlockingPool.shared.run { unlink(gone) }
  }

  /// Files above this size are removed away from the caller's thread.
  static let largeBytes = 8 << 20

  // MARK: What is there

  package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Whether an entry of this name exists. A link counts even when its target does not exist.
  package static func isThere(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  /// The size in bytes of the file that a path leads to, after links; `nil` when there is none.
  package static func size(_ path: String) -> Int? {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : nil
  }

  /// The size in bytes of a regular file; `nil` for anything else, a link or a folder included.
  package static func ownSize(_ path: String) -> Int? {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG ? Int(status.st_size) : nil
  }

  /// Bytes that the files below a folder occupy. Links are not followed.
  package static func usage(of folder: String) -> Int { Int(clamping: muster_usage(folder)) }

  /// Bytes that an unprivileged user may still write; `nil` when the file system does not say.
  package static func freeBytes(at path: String) -> UInt64? {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { return nil }
    let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
    return overflow ? .max : bytes
  }

  /// The time of the last change in seconds since 1970; `nil` when the path does not exist. A link is not followed.
  package static func modified(_ path: String) -> Int? {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mtim.tv_sec : nil
  }

  /// The permission bits; `nil` when the path does not exist.
  package static func mode(_ path: String) -> UInt32? {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_mode & 0o777 : nil
  }

  /// Size, time of change and inode of a file. Two stamps differ when the file was written to or replaced in between.
  package struct Stamp: Hashable, Sendable {
    fileprivate let size: Int
    fileprivate let seconds: Int
    fileprivate let nanoseconds: Int
    fileprivate let file: UInt64
  }

  /// The stamp of the file that a path leads to; `nil` when the path does not exist.
  package static func stamp(_ path: String) -> Stamp? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return Stamp(
      size: Int(status.st_size), seconds: Int(status.st_mtim.tv_sec), nanoseconds: Int(status.st_mtim.tv_nsec), file: UInt64(status.st_ino))
  }

  /// The process's working folder; `.` if it was removed.
  package static var currentFolder: String {
    guard let path = getcwd(nil, 0) else { return "." }
    defer { free(path) }
    return String(cString: path)
  }

  /// The folder that a path lies in; `.` for a bare name.
  package static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
