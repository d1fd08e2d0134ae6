import Glibc
import Logging
import MusterGround
package import MusterSchema
import Synchronization

/// Immutable blobs, addressed by their SHA-256. Most blobs are files; small ones that arrived together share a file (``PackFolder``).
///
/// A blob appears whole or not at all, and is durable when `adopt` or `add` returns. All functions but `add` block, at most for the disk.
package final class BlobFolder: Sendable {
  private let blobs: String
  private let staging: String
  private let packs: PackFolder
  /// Held while a blob's age is checked and the blob is removed, so that no request adopts or refreshes the same blob in between.
  private let removal = Mutex(())

  init(folder: String, logger: Logger) throws(StorageError) {
    blobs = "\(folder)/blobs"
    staging = "\(folder)/staging"
    try makeFolder(staging)
    packs = try PackFolder(folder: "\(folder)/packs", staging: staging, logger: logger)
    if Files.names(in: blobs).count < Self.prefixes {
      try makeFolder(blobs)
      // All folders are made now, so that an adoption later has only one folder to make durable, not two.
      for index in 0..<Self.prefixes {
        let path = "\(blobs)/\(Self.name(ofPrefix: index))"
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw StorageError(errno, "the folder \(path) cannot be made") }
      }
      try synchronizeFolder(blobs)
      try synchronizeFolder(folder)
    }
  }

  // MARK: In

  /// The largest body in bytes that ``add(_:digest:)`` takes.
  package static let smallBytes = PackFile.largestBlob

  /// Makes a small body a blob, in one file with other bodies that wait.
  ///
  /// - Parameter digest: the digest of `body`.
  package func add(_ body: [UInt8], digest: Digest) async throws(StorageError) {
    precondition(body.count <= Self.smallBytes)
    if file(of: digest) != nil, refresh(digest) {
      // Another request may have renamed the file and not flushed its folder yet.
      let folder = folder(digest)
      return try await offload { () throws(StorageError) in try synchronizeFolder(folder) }
    }
    try await packs.add(body, digest)
  }

  /// Makes a new file for a body of at most `maximumBytes` bytes.
  package func stage(maximumBytes: Int = .max) throws(StorageError) -> StagedFile {
    try StagedFile(path: temporaryPath(), maximumBytes: maximumBytes)
  }

  /// Makes a staged file a blob. It is fine if the blob exists already.
  ///
  /// - Parameter path: where the file is now, if it was renamed; `nil` means the path at which it was made.
  @discardableResult
  package func adopt(_ staged: StagedFile, at path: String? = nil) throws(StorageError) -> Digest {
    let (digest, _) = try staged.finish()
    if try !isPresent(digest) {
      try settle(digest, move(path ?? staged.path, to: digest))
      staged.markAdopted()
    }
    return digest
  }

  /// Makes a file of another folder a blob. The file is renamed within a file system; across file systems it is copied and then removed.
  ///
  /// - Parameter digest: the file's digest if the caller knows it; `nil` reads the file to compute it.
  @discardableResult
  package func adopt(file path: String, digest known: Digest? = nil) throws(StorageError) -> Digest {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw StorageError(errno, "\(path) cannot be read") }
    defer { close(descriptor) }
    let digest = if let known { known } else { try measure(descriptor, path) { _ in } }
    guard try !isPresent(digest) else {
      unlink(path)
      return digest
    }
    guard fdatasync(descriptor) == 0 else { throw StorageError(errno, "\(path) cannot be made durable") }
    let code = move(path, to: digest)
    guard code == EXDEV else {
      try settle(digest, code)
      return digest
    }
    lseek(descriptor, 0, SEEK_SET)
    let copy = try stage()
    _ = try measure(descriptor, path) { (bytes) throws(StorageError) in try copy.write(bytes) }
    let copied = try adopt(copy)
    unlink(path)
    return copied
  }

  // MARK: Out

  /// The place of a blob's bytes; `nil` when the blob is not here.
  package func place(of digest: Digest) -> BlobPlace? { file(of: digest).map { BlobPlace(path: $0) } ?? packs.place(of: digest) }

  /// The path of a file that holds exactly the blob; `nil` when the blob is not here.
  ///
  /// A blob of a pack is first copied to a file of its own. A caller that reads many blobs should ask for their ``place(of:)`` instead.
  package func path(of digest: Digest) -> String? {
    if let file = file(of: digest) { return file }
    // A copy that fails, for example on a full disk, counts as a missing file: the caller would handle both in the same way.
    guard let place = packs.place(of: digest), (try? takeOut(place)) == digest else { return nil }
    return file(of: digest)
  }

  /// The size of a blob in bytes; `nil` when the blob is not here.
  package func size(of digest: Digest) -> Int? {
    var status = stat()
    if stat(location(digest), &status) == 0 { return Int(status.st_size) }
    return packs.place(of: digest)?.range?.count
  }

  /// Makes a blob count as new, so that ``old(prefix:olderThan:)`` and ``discard(_:olderThan:)`` leave it alone.
  ///
  /// - Returns: whether the blob is here.
  package func refresh(_ digest: Digest) -> Bool {
    let path = location(digest)
    let isFile = removal.withLock { _ in utimensat(AT_FDCWD, path, nil, 0) == 0 }
    return packs.refresh(digest) || isFile
  }

  /// The age below which blobs and staged files are not swept, because the record that refers to them may not be committed yet.
  package static let sweepAge = Duration.seconds(3600)

  /// The number of folders that hold the blobs, one for each first byte of a digest.
  package static let prefixes = 256

  /// The blobs whose digest has one first byte, and which are old enough to be removed if nothing refers to them.
  package func old(prefix: Int, olderThan age: Duration = sweepAge) -> Set<Digest> {
    let horizon = time(nil) - Int(age.components.seconds)
    let folder = "\(blobs)/\(Self.name(ofPrefix: prefix))"
    return Set(
      Files.names(in: folder).compactMap { name in
        var status = stat()
        guard let digest = Digest(name), lstat("\(folder)/\(name)", &status) == 0, status.st_mtim.tv_sec <= horizon else { return nil }
        return digest
      }
    ).union(packs.old(prefix: prefix, before: horizon))
  }

  /// Removes staged files that a request or an earlier process left behind.
  ///
  /// - Returns: bytes freed.
  package func clearStaging(olderThan age: Duration = sweepAge) -> Int {
    let horizon = time(nil) - Int(age.components.seconds)
    return Files.names(in: staging).reduce(0) { $0 + remove("\(staging)/\($1)", before: horizon) }
  }

  /// Removes blobs that nothing refers to any more.
  ///
  /// - Parameter olderThan: younger blobs stay, because an adopter's record may not be committed yet.
  /// - Returns: the bytes freed, and those of the blobs that are still here.
  package func discard(_ digests: Set<Digest>, olderThan age: Duration) -> (freed: Int, left: Set<Digest>) {
    let horizon = time(nil) - Int(age.components.seconds)
    var freed = 0
    var left: Set<Digest> = []
    for digest in digests {
      freed += removal.withLock { _ in remove(location(digest), before: horizon) } + packs.discard(digest, before: horizon)
      if place(of: digest) != nil { left.insert(digest) }
    }
    return (freed, left)
  }

  // MARK: -

  private static func name(ofPrefix index: Int) -> String { index < 16 ? "0\(String(index, radix: 16))" : String(index, radix: 16) }
  private func folder(_ digest: Digest) -> String { "\(blobs)/\(digest.hexadecimal.prefix(2))" }
  private func location(_ digest: Digest) -> String { "\(folder(digest))/\(digest.hexadecimal)" }

  private func file(of digest: Digest) -> String? {
    let path = location(digest)
    return access(path, R_OK) == 0 ? path : nil
  }

  private func takeOut(_ place: BlobPlace) throws(StorageError) -> Digest {
    let descriptor = open(place.path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0, let range = place.range else { throw StorageError(errno, "\(place.path) cannot be read") }
    defer { close(descriptor) }
    var body = [UInt8](repeating: 0, count: range.count)
    guard pread(descriptor, &body, body.count, off_t(range.lowerBound)) == body.count else {
      throw StorageError(errno, "\(place.path) cannot be read")
    }
    let staged = try stage()
    try staged.write(body)
    return try adopt(staged)
  }

  private func temporaryPath() -> String {
    "\(staging)/\(String(UInt64.random(in: 0...UInt64.max), radix: 36))\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
  }

  /// Whether the blob is already here as a file. If so, it counts as new again, so that it is not collected before its record is committed.
  private func isPresent(_ digest: Digest) throws(StorageError) -> Bool {
    // A blob in a pack does not count, because the caller needs a file.
    let path = location(digest)
    guard removal.withLock({ _ in utimensat(AT_FDCWD, path, nil, 0) == 0 }) else { return false }
    // The request that made the file may not have flushed the folder yet.
    try synchronizeFolder(folder(digest))
    return true
  }

  /// - Returns: 0, or the error number of the rename.
  private func move(_ source: String, to digest: Digest) -> Int32 {
    let path = location(digest)
    return removal.withLock { _ in rename(source, path) == 0 ? 0 : errno }
  }

  private func settle(_ digest: Digest, _ code: Int32) throws(StorageError) {
    guard code == 0 else { throw StorageError(code, "\(location(digest)) cannot be written") }
    try synchronizeFolder(folder(digest))
  }

  private func remove(_ path: String, before horizon: Int) -> Int {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mtim.tv_sec <= horizon, unlink(path) == 0 else { return 0 }
    return Int(status.st_size)
  }

  /// The digest of any file. Reads the whole file, so do not call it on a cooperative thread.
  package func digest(ofFile path: String) throws(StorageError) -> Digest {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw StorageError(errno, "\(path) cannot be read") }
    defer { close(descriptor) }
    return try measure(descriptor, path) { _ in }
  }

  private func measure(
    _ descriptor: Int32, _ path: String, _ each: (UnsafeRawBufferPointer) throws(StorageError) -> Void
  ) throws(StorageError) -> Digest {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    var hasher = Digest.Hasher()
    while true {
      let count = read(descriptor, buffer.baseAddress, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw StorageError(errno, "\(path) cannot be read") }
      guard count > 0 else { return hasher.finish() }
      let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
      hasher.update(bytes)
      try each(bytes)
    }
  }
}
