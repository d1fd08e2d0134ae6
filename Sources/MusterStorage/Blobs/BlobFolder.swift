import Glibc
import Logging
import MusterGround
package import MusterSchema
import Synchronization

/// Immutable blobs, addressed by their SHA-256: most are files, small ones that came together share one (``PackFolder``).
///
/// A blob appears whole or not at all, and is durable when `adopt` or `add` returns. All but `add` blocks, at most for the disk.
package final class BlobFolder: Sendable {
  private let blobs: String
  private let staging: String
  private let packs: PackFolder
  /// Between finding a blob unused and removing it, nobody may adopt the same one.
  private let removal = Mutex(())

  init(folder: String, logger: Logger) throws(StorageError) {
    blobs = "\(folder)/blobs"
    staging = "\(folder)/staging"
    try makeFolder(staging)
    packs = try PackFolder(folder: "\(folder)/packs", staging: staging, logger: logger)
    if Files.names(in: blobs).count < Self.prefixes {
      try makeFolder(blobs)
      // All at once: an adoption then has one folder to make durable, not two.
      for index in 0..<Self.prefixes {
        let path = "\(blobs)/\(Self.name(ofPrefix: index))"
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw StorageError(errno, "the folder \(path) cannot be made") }
      }
      try synchronizeFolder(blobs)
      try synchronizeFolder(folder)
    }
  }

  // MARK: In

  /// Bytes that a body may have for ``add(_:digest:)``.
  package static let smallBytes = PackFile.largestBlob

  /// Makes a small body a blob, together with others that wait.
  ///
  /// - Parameter digest: the body's.
  package func add(_ body: [UInt8], digest: Digest) async throws(StorageError) {
    precondition(body.count <= Self.smallBytes)
    if file(of: digest) != nil, refresh(digest) {
      // Another request may have renamed the file and not flushed its folder yet.
      let folder = folder(digest)
      return try await offload { () throws(StorageError) in try synchronizeFolder(folder) }
    }
    try await packs.add(body, digest)
  }

  /// A new file for a body of at most so many bytes.
  package func stage(maximumBytes: Int = .max) throws(StorageError) -> StagedFile {
    try StagedFile(path: temporaryPath(), maximumBytes: maximumBytes)
  }

  /// Makes a staged file a blob. The same bytes again are fine.
  ///
  /// - Parameter path: where it lies by now; nil: where it was made.
  @discardableResult
  package func adopt(_ staged: StagedFile, at path: String? = nil) throws(StorageError) -> Digest {
    let (digest, _) = try staged.finish()
    if try !isPresent(digest) {
      try settle(digest, move(path ?? staged.path, to: digest))
      staged.markAdopted()
    }
    return digest
  }

  /// Makes a file of another folder a blob: moved within the file system, else copied and removed.
  ///
  /// - Parameter digest: what it is known to be; nil: it is read to find out.
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

  /// Where a blob's bytes lie; nil when it is not here.
  package func place(of digest: Digest) -> BlobPlace? { file(of: digest).map { BlobPlace(path: $0) } ?? packs.place(of: digest) }

  /// A file that is the blob; nil when it is not here. A blob of a pack is copied to a file of its own first: where many are read, ask for
  /// their ``place(of:)``.
  package func path(of digest: Digest) -> String? {
    if let file = file(of: digest) { return file }
    // A copy that fails, for example on a full disk, counts as a missing file, as the caller has no other use for it.
    guard let place = packs.place(of: digest), (try? takeOut(place)) == digest else { return nil }
    return file(of: digest)
  }

  /// Bytes of a blob; nil when it is not here.
  package func size(of digest: Digest) -> Int? {
    var status = stat()
    if stat(location(digest), &status) == 0 { return Int(status.st_size) }
    return packs.place(of: digest)?.range?.count
  }

  /// Makes a blob count as new, for ``collect(keeping:olderThan:)``.
  ///
  /// - Returns: whether it is here.
  package func refresh(_ digest: Digest) -> Bool {
    let path = location(digest)
    let isFile = removal.withLock { _ in utimensat(AT_FDCWD, path, nil, 0) == 0 }
    return packs.refresh(digest) || isFile
  }

  /// Younger blobs and staged files are not swept: their record may not be committed yet.
  package static let sweepAge = Duration.seconds(3600)

  /// Folders that the blobs are spread over, by the first byte of their digest.
  package static let prefixes = 256

  /// The blobs with one first byte that are old enough to be swept when nothing refers to them.
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

  /// Removes staged files that were left behind.
  ///
  /// - Returns: bytes freed.
  package func clearStaging(olderThan age: Duration = sweepAge) -> Int {
    let horizon = time(nil) - Int(age.components.seconds)
    return Files.names(in: staging).reduce(0) { $0 + remove("\(staging)/\($1)", before: horizon) }
  }

  /// Removes these blobs.
  ///
  /// - Parameter olderThan: younger ones stay, because something whose record is not committed yet may have adopted them.
  /// - Returns: bytes freed, and the blobs that are still here.
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

  /// Whether the blob is here already. Then it counts as new again, so that a collection lets it live until its record is committed.
  private func isPresent(_ digest: Digest) throws(StorageError) -> Bool {
    // One of a pack does not count: who adopts a file wants it as a file.
    let path = location(digest)
    guard removal.withLock({ _ in utimensat(AT_FDCWD, path, nil, 0) == 0 }) else { return false }
    // Whoever brought it may still be on the way to this.
    try synchronizeFolder(folder(digest))
    return true
  }

  /// - Returns: 0, or the error number.
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

  /// The digest of a file, wherever it lies. Reads it whole: not on a cooperative thread.
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
