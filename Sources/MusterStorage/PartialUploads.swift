import Glibc
import Logging
import MusterGround
package import MusterSchema
import Synchronization

/// Partial uploads: bodies whose sender was interrupted. They are kept beside the blobs until the sender continues, also over a restart.
///
/// There is one for each name, so another digest under the same name replaces it. In the folder `uploads` each has two files: `ID.part`
/// holds the bytes received so far, and `ID.json` its ``Identity``. A request that has all bytes claims the upload first: the part is
/// renamed to `ID.claimed`, which no other request opens. A part that is missing while its blob is here was adopted: the upload is complete
/// and waits for its acceptance. Bytes that were lost or damaged in a loss of power are found at the end, because the digest differs.
///
/// The number, the number for each owner, the bytes and the age are bounded. Over a bound, the upload that was idle the longest is removed.
package final class PartialUploads: Sendable {
  /// The body that a partial upload will become.
  package struct Identity: Codable, Hashable, Sendable {
    /// The purpose of the upload. There is at most one partial upload for each name.
    package var name: String
    /// The node that sends it.
    package var owner: String
    /// The digest of the whole body.
    package var digest: Digest
    /// The length of the whole body in bytes; `nil` when the sender did not say.
    package var length: Int?

    package init(name: String, owner: String, digest: Digest, length: Int?) {
      self.name = name
      self.owner = owner
      self.digest = digest
      self.length = length
    }
  }

  /// The progress of a partial upload.
  package struct Status: Hashable, Sendable {
    package var identity: Identity
    /// The number of bytes that are here.
    package var offset: Int
    /// Whether all bytes are here, checked and durable, so that only the acceptance is missing.
    package var isStored: Bool

    package init(identity: Identity, offset: Int, isStored: Bool) {
      self.identity = identity
      self.offset = offset
      self.isStored = isStored
    }
  }

  struct Entry {
    var identity: Identity
    var count: Int
    /// `nil` after a restart, when the part must be read before it can be continued.
    var progress: StagedFile.Progress?
    var active: StagedFile?
    var touched: Int
    var isStored = false
    /// The active request has all bytes and checks them. No other request may begin or resume the upload.
    var isClaimed = false
    /// The upload is to be removed once the claim ends.
    var isDiscarded = false

    /// The number of bytes that it may take on the disk.
    var reserved: Int { max(identity.length ?? 0, count) }
  }

  package let limits: PartialUploadLimits
  private let folder: String
  let blobs: any Blobs
  let entries: Mutex<[String: Entry]>

  private let evictions: EvictionLog

  /// Reads the uploads that an earlier process left. Blocks.
  init(
    folder: String, blobs: any Blobs, limits: PartialUploadLimits, logger: Logger = Logger(label: "muster.storage")
  ) throws(StorageError) {
    evictions = EvictionLog(logger)
    self.folder = "\(folder)/uploads"
    self.blobs = blobs
    self.limits = limits
    try makeFolder(self.folder)
    entries = Mutex(Self.restore(self.folder, blobs))
    collect()
  }

  // MARK: Queries

  /// The progress of a partial upload; `nil` when there is none of this name, or when it has another digest.
  ///
  /// A request that still writes to the upload is cut off, so that the answer stays true. A request that has claimed it writes no more.
  ///
  /// - Parameter digest: the digest that the upload must have; `nil` allows any.
  package func status(_ name: String, _ digest: Digest?) -> Status? {
    entries.withLock { entries in
      guard var entry = entries[name], !entry.isDiscarded, digest.map({ $0 == entry.identity.digest }) ?? true else { return nil }
      settle(&entry)
      if entry.isStored, blobs.place(of: entry.identity.digest) == nil {
        // The blob was collected in the meantime, so nothing is left of the upload.
        remove(name, &entries)
        return nil
      }
      entries[name] = entry
      return Status(identity: entry.identity, offset: entry.count, isStored: entry.isStored)
    }
  }

  /// The number of partial uploads, and the bytes that they may take on the disk.
  package var totals: (count: Int, bytes: Int) {
    entries.withLock { entries in (entries.count, entries.values.reduce(0) { $0 + $1.reserved }) }
  }

  // MARK: Writing

  /// Begins an upload at its first byte. An earlier upload of the same name is removed.
  ///
  /// - Parameter expecting: the number of bytes that the request will send.
  /// - Throws: ``StorageError/crowded(_:)`` when there is no room and no upload may be removed, ``StorageError/claimed`` while another
  ///   request makes a contribution of the upload's bytes.
  package func begin(_ identity: Identity, expecting: Int, maximumBytes: Int) throws(StorageError) -> StagedFile {
    let result: Result<StagedFile, StorageError> = entries.withLock { entries in
      // Check this before any file is touched: the files of a claim belong to the request that holds it.
      if entries[identity.name]?.isClaimed == true { return .failure(.claimed) }
      do throws(StorageError) {
        remove(identity.name, &entries)
        try makeRoom(for: identity, bytes: max(identity.length ?? 0, min(expecting, maximumBytes)), &entries)
        // Make the part first, because a description without a part means that the upload became a blob.
        let file = try StagedFile(continuing: part(identity.name), from: .init(), maximumBytes: identity.length ?? maximumBytes)
        try describe(identity)
        entries[identity.name] = Entry(identity: identity, count: 0, progress: .init(), active: file, touched: time(nil))
        return .success(file)
      } catch {
        unlink(part(identity.name))
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// Continues an upload at its current offset. A request that wrote to it before is cut off. Blocks to read the part after a restart.
  ///
  /// - Returns: for a wrong offset no file, and the progress that the upload really has.
  /// - Throws: ``StorageError/claimed`` while another request makes a contribution of the upload's bytes.
  package func resume(
    _ name: String, _ digest: Digest, at offset: Int, expecting: Int, maximumBytes: Int
  ) throws(StorageError) -> (status: Status?, file: StagedFile?) {
    guard let status = status(name, digest), status.offset == offset, !status.isStored else {
      return (self.status(name, digest), nil)
    }
    let (known, isClaimed) = entries.withLock { ($0[name]?.progress, $0[name]?.isClaimed ?? false) }
    if isClaimed { throw .claimed }
    let progress = if let known { known } else { try read(part(name), upTo: offset) }
    let result: Result<(Status?, StagedFile?), StorageError> = entries.withLock { entries in
      guard var entry = entries[name], entry.identity.digest == digest, entry.count == offset, entry.active == nil,
        case let progress = entry.progress ?? progress, progress.count == offset
      else { return .success((status, nil)) }
      do throws(StorageError) {
        entries[name] = nil
        defer { entries[name] = entry }
        let bytes = max(entry.identity.length ?? 0, offset + min(expecting, max(0, maximumBytes - offset)))
        if bytes > entry.reserved { try makeRoom(for: entry.identity, bytes: bytes, &entries) }
        let file = try StagedFile(continuing: part(name), from: progress, maximumBytes: entry.identity.length ?? maximumBytes)
        entry.progress = progress
        entry.active = file
        entry.touched = time(nil)
        return .success((status, file))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// Ends a request's use of an upload. The bytes that it wrote stay.
  package func release(_ file: StagedFile, of name: String) {
    entries.withLock { entries in
      guard var entry = entries[name], entry.active === file, !entry.isClaimed else { return }
      settle(&entry)
      entries[name] = entry
    }
  }

  /// Removes an upload that is no longer needed. If a request has claimed it, it is removed when the claim ends.
  ///
  /// - Parameter digest: removes the upload only if it has this digest; `nil` removes it whatever its digest is.
  package func discard(_ name: String, _ digest: Digest? = nil) {
    entries.withLock { entries in
      guard let entry = entries[name], digest.map({ $0 == entry.identity.digest }) ?? true else { return }
      if entry.isClaimed { entries[name]?.isDiscarded = true } else { remove(name, &entries) }
    }
  }

  /// Removes uploads that were not continued for longer than ``PartialUploadLimits/ageSeconds``.
  ///
  /// - Returns: bytes freed.
  @discardableResult
  package func collect() -> Int {
    let horizon = time(nil) - limits.ageSeconds
    return entries.withLock { entries in
      let old = entries.filter { $0.value.active == nil && $0.value.touched < horizon }
      for name in old.keys.sorted() { remove(name, &entries) }
      return old.values.reduce(0) { $0 + ($1.isStored ? 0 : $1.count) }
    }
  }

  // MARK: -

  private func settle(_ entry: inout Entry) {
    guard let file = entry.active, !entry.isClaimed else { return }
    let progress = file.revoke()
    entry.progress = progress
    entry.count = progress.count
    entry.active = nil
    entry.touched = time(nil)
  }

  func remove(_ name: String, _ entries: inout [String: Entry]) {
    guard let entry = entries.removeValue(forKey: name) else { return }
    _ = entry.active?.revoke()
    // Remove the description first: without a part it would mean that the upload became a blob.
    unlink(description(name))
    Files.discard(part(name), bytes: entry.count)
    Files.discard(claimed(name), bytes: entry.count)
  }

  private func makeRoom(for identity: Identity, bytes: Int, _ entries: inout [String: Entry]) throws(StorageError) {
    func idle(_ isCandidate: (Entry) -> Bool) -> String? {
      entries.filter { $0.value.active == nil && isCandidate($0.value) }.min { ($0.value.touched, $0.key) < ($1.value.touched, $1.key) }?
        .key
    }
    while entries.values.count(where: { $0.identity.owner == identity.owner }) >= limits.perOwner {
      guard let name = idle({ $0.identity.owner == identity.owner }) else {
        throw .crowded("\(identity.owner) already has \(limits.perOwner) unfinished uploads")
      }
      remove(name, &entries)
      evictions.note(name, limit: "partialUploadsPerNode")
    }
    guard bytes <= limits.bytes else { throw .tooLarge(maximumBytes: limits.bytes) }
    // A sender that was active a moment ago is likely to come back, so its upload is not removed to make room for the next one.
    let horizon = time(nil) - limits.graceSeconds
    while entries.count >= limits.count || entries.values.reduce(bytes, { $0 + $1.reserved }) > limits.bytes {
      let limit = entries.count >= limits.count ? "partialUploads" : "partialMiB"
      guard let name = idle({ $0.touched <= horizon }) else { throw .crowded("there are already \(entries.count) unfinished uploads") }
      remove(name, &entries)
      evictions.note(name, limit: limit)
    }
  }

  func part(_ name: String) -> String { "\(folder)/\(Self.id(name)).part" }
  private func description(_ name: String) -> String { "\(folder)/\(Self.id(name)).json" }
  func claimed(_ name: String) -> String { "\(folder)/\(Self.id(name)).claimed" }
  /// The file name of an upload. Names come from the network, so they never become part of a path.
  private static func id(_ name: String) -> String { Digest(of: name.utf8).hexadecimal }

  private struct Description: Codable {
    var version = 1
    var identity: Identity
  }

  private func describe(_ identity: Identity) throws(StorageError) {
    let path = description(identity.name)
    let bytes: [UInt8]
    do {
      bytes = try JSON.encode(Description(identity: identity))
    } catch {
      throw .io("\(path): \(error)")
    }
    // The description is not made durable: after a loss of power the sender begins again.
    do throws(FileError) { try Files.replace(path, with: bytes, durable: false) } catch { throw StorageError(error) }
  }

  private func read(_ path: String, upTo limit: Int) throws(StorageError) -> StagedFile.Progress {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { throw StorageError(errno, "\(path) cannot be read") }
    defer { close(descriptor) }
    var progress = StagedFile.Progress()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    while progress.count < limit {
      let count = Glibc.read(descriptor, buffer.baseAddress, min(buffer.count, limit - progress.count))
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw StorageError(errno, "\(path) cannot be read") }
      guard count > 0 else { break }
      progress.hasher.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      progress.count += count
    }
    return progress
  }

  private static func restore(_ folder: String, _ blobs: any Blobs) -> [String: Entry] {
    var entries: [String: Entry] = [:]
    var known: Set<String> = []
    for file in Files.names(in: folder) where file.hasSuffix(".json") {
      // A description that cannot be read or understood is not an upload. Its files are removed below, and its sender begins again.
      guard let bytes = try? Files.read("\(folder)/\(file)", atMost: 64 << 10), let read = try? JSON.decode(Description.self, from: bytes),
        read.version == 1, "\(id(read.identity.name)).json" == file, read.identity.length.map({ Bounds.bytes.contains($0) }) ?? true
      else { continue }
      let part = "\(file.dropLast(5)).part"
      var status = stat()
      // The process died while a request held a claim: all bytes are there and will be checked again.
      if lstat("\(folder)/\(part)", &status) != 0 {
        rename("\(folder)/\(file.dropLast(5)).claimed", "\(folder)/\(part)")
      }
      if lstat("\(folder)/\(part)", &status) == 0, status.st_mode & S_IFMT == S_IFREG {
        entries[read.identity.name] = Entry(
          identity: read.identity, count: Int(status.st_size), progress: nil, touched: status.st_mtim.tv_sec)
      } else if let size = blobs.size(of: read.identity.digest), lstat("\(folder)/\(file)", &status) == 0 {
        entries[read.identity.name] = Entry(
          identity: read.identity, count: size, progress: nil, touched: status.st_mtim.tv_sec, isStored: true)
      } else {
        continue
      }
      known.formUnion([file, part])
    }
    for file in Files.names(in: folder) where !known.contains(file) { unlink("\(folder)/\(file)") }
    return entries
  }
}
