import Glibc
import Logging
import MusterGround
package import MusterSchema
import Synchronization

/// Blobs in a folder of the file system. Most blobs are files; small ones that arrived together share a file (``PackFolder``).
package final class BlobFolder: Blobs {
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

  package func add(_ body: [UInt8], digest: Digest) async throws(StorageError) {
    precondition(body.count <= Self.smallBytes)
    if wholeFile(of: digest) != nil, refresh(digest) {
      // Another request may have renamed the file and not flushed its folder yet.
      let folder = folder(digest)
      return try await offload { () throws(StorageError) in try synchronizeFolder(folder) }
    }
    try await packs.add(body, digest)
  }

  package func stage(maximumBytes: Int) throws(StorageError) -> StagedFile {
    try StagedFile(path: temporaryPath(), maximumBytes: maximumBytes)
  }

  @discardableResult
  package func adopt(_ staged: StagedFile, at path: String? = nil) throws(StorageError) -> Digest {
    let (digest, _) = try staged.finish()
    if try !isPresent(digest) {
      try settle(digest, move(path ?? staged.path, to: digest))
      staged.markAdopted()
    }
    return digest
  }

  /// The file is renamed within a file system; across file systems it is copied and then removed.
  @discardableResult
  package func adopt(file path: String, digest known: Digest?) throws(StorageError) -> Digest {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw StorageError(errno, "\(path) cannot be read") }
    defer { close(descriptor) }
    let digest = if let known { known } else { try Digest.measure(descriptor, path) { _ in } }
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
    let copy = try stage(maximumBytes: .max)
    _ = try Digest.measure(descriptor, path) { (bytes) throws(StorageError) in try copy.write(bytes) }
    let copied = try adopt(copy)
    unlink(path)
    return copied
  }

  // MARK: Out

  package func place(of digest: Digest) -> BlobPlace? { wholeFile(of: digest).map { BlobPlace(path: $0) } ?? packs.place(of: digest) }

  package func file(of digest: Digest) async -> String? {
    if let file = wholeFile(of: digest) { return file }
    guard let place = packs.place(of: digest) else { return nil }
    return await offload { () -> String? in
      // A copy that fails, for example on a full disk, counts as a missing file: the caller would handle both in the same way.
      guard (try? self.takeOut(place)) == digest else { return nil }
      return self.wholeFile(of: digest)
    }
  }

  package func size(of digest: Digest) -> Int? {
    var status = stat()
    if stat(location(digest), &status) == 0 { return Int(status.st_size) }
    return packs.place(of: digest)?.range?.count
  }

  package func refresh(_ digest: Digest) -> Bool {
    let path = location(digest)
    let isFile = removal.withLock { _ in utimensat(AT_FDCWD, path, nil, 0) == 0 }
    return packs.refresh(digest) || isFile
  }

  /// The age below which blobs and staged files are not swept, because the record that refers to them may not be committed yet.
  package static let sweepAge = Duration.seconds(3600)

  /// The number of folders that hold the blobs, one for each first byte of a digest.
  package static let prefixes = 256

  package func old(prefix: Int, olderThan age: Duration) -> Set<Digest> {
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

  package func clearStaging(olderThan age: Duration) -> Int {
    let horizon = time(nil) - Int(age.components.seconds)
    return Files.names(in: staging).reduce(0) { $0 + remove("\(staging)/\($1)", before: horizon) }
  }

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

  private func wholeFile(of digest: Digest) -> String? {
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
    let staged = try stage(maximumBytes: .max)
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
}
