internal import CSpawn
import Glibc

/// Files and folders, straight on the system's calls. Everything here blocks, at most for the disk.
package enum Files {
  // MARK: Reading

  /// All bytes of a file.
  ///
  /// - Throws: EFBIG when it has more than so many.
  package static func read(_ path: String, atMost limit: Int) throws(FileError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(.read, path, errno) }
    defer { close(descriptor) }
    return try readAll(descriptor, path, atMost: limit)
  }

  /// All bytes of a file in a folder that another program can write to. Links and pipes are refused: a link could lead to a secret, and reading
  /// a pipe could block for ever.
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

  /// What is left of an open file.
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

  /// Writes all bytes where the file stands, whatever the system takes at once.
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

  /// Writes all bytes from an offset on, as several threads may do at once.
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
  /// - Parameter durable: on the disk before it returns, a loss of power included.
  package static func replace(_ path: String, with bytes: [UInt8], mode: UInt32 = 0o600, durable: Bool) throws(FileError) {
    let temporary = "\(path).new"
    // A crash may have left it, or another program may have put a link there.
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
      // A network file system tells of a full disk as late as here.
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

  /// Flushes a file, or the names in a folder.
  package static func makeDurable(_ path: String) throws(FileError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(.opened, path, errno) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw FileError(.madeDurable, path, errno) }
  }

  /// Makes a folder and those above it. One that is there is fine.
  ///
  /// - Throws: ENOTDIR when something else has the name.
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

  /// Removes a file, or a folder with everything in it. Follows no link, not even one that takes a folder's place meanwhile. A path that does
  /// not exist is fine.
  ///
  /// - Returns: the error number of the first entry that stays; nil when nothing does.
  @discardableResult
  package static func remove(_ path: String) -> Int32? {
    let code = muster_remove(path)
    return code == 0 ? nil : code
  }

  // MARK: What is there

  package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Whether there is anything of this name, a link that leads nowhere included.
  package static func isThere(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  /// Bytes of the file that a path leads to; nil when it leads nowhere.
  package static func size(_ path: String) -> Int? {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : nil
  }

  /// Bytes of a file itself: a link has few, a folder none.
  package static func ownSize(_ path: String) -> Int? {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG ? Int(status.st_size) : nil
  }

  /// Bytes that the files below a folder take up; links are not followed.
  package static func usage(of folder: String) -> Int { Int(clamping: muster_usage(folder)) }

  /// Bytes that a user without rights of its own may still write; nil when the file system does not say.
  package static func freeBytes(at path: String) -> UInt64? {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { return nil }
    let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
    return overflow ? .max : bytes
  }

  /// Seconds since 1970 of the last change; nil when it is not there.
  package static func modified(_ path: String) -> Int? {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mtim.tv_sec : nil
  }

  /// Permission bits; nil when it is not there.
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

  /// Nil when it is not there.
  package static func stamp(_ path: String) -> Stamp? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return Stamp(
      size: Int(status.st_size), seconds: Int(status.st_mtim.tv_sec), nanoseconds: Int(status.st_mtim.tv_nsec), file: UInt64(status.st_ino))
  }

  /// The folder that a path lies in: `.` for a bare name.
  package static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
