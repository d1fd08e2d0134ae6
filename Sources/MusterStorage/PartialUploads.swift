import Glibc
import Logging
import MusterGround
package import MusterSchema
import Synchronization

/// Half uploads: bodies whose sender was interrupted, kept beside the blobs until he continues, also over a restart.
///
/// One for each name, so another digest under the same name replaces it. In the folder `uploads` each has two files: `ID.part`, what came
/// so far, and `ID.json`, what it is to become. A request that has all bytes claims them first: the part becomes `ID.claimed`, which nobody
/// else opens. A part that is missing while its blob is here was adopted: it is complete, and waits for its acceptance. Bytes that a loss of power took or spoiled show at the end, in the digest.
///
/// Bounded in number, for each owner and in all, in bytes and in age; over a bound the one that was left alone the longest makes room.
package final class PartialUploads: Sendable {
  /// What a half upload is to become.
  package struct Identity: Codable, Hashable, Sendable {
    /// What it is for. One half upload for each.
    package var name: String
    /// Who sends it.
    package var owner: String
    /// Of the whole body.
    package var digest: Digest
    /// Of the whole body; nil: its sender did not say.
    package var length: Int?

    package init(name: String, owner: String, digest: Digest, length: Int?) {
      self.name = name
      self.owner = owner
      self.digest = digest
      self.length = length
    }
  }

  /// Where a half upload stands.
  package struct Standing: Hashable, Sendable {
    package var identity: Identity
    /// Bytes that are here.
    package var offset: Int
    /// All bytes are here, checked and durable: only the acceptance is missing.
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
    /// Nil after a restart: the part must be read first.
    var progress: StagedFile.Progress?
    var active: StagedFile?
    var touched: Int
    var isStored = false
    /// The active request has all bytes and checks them: nobody else may begin or resume.
    var isClaimed = false
    /// Nothing of this name is wanted any more, once the claim ends.
    var isDiscarded = false

    /// Bytes of the disk that it may take.
    var reserved: Int { max(identity.length ?? 0, count) }
  }

  package let limits: PartialUploadLimits
  private let folder: String
  let blobs: BlobFolder
  let entries: Mutex<[String: Entry]>

  private let evictions: EvictionLog

  /// Reads what an earlier process left. Blocks.
  init(
    folder: String, blobs: BlobFolder, limits: PartialUploadLimits, logger: Logger = Logger(label: "muster.storage")
  ) throws(StorageError) {
    evictions = EvictionLog(logger)
    self.folder = "\(folder)/uploads"
    self.blobs = blobs
    self.limits = limits
    try makeFolder(self.folder)
    entries = Mutex(Self.restore(self.folder, blobs))
    collect()
  }

  // MARK: What is there

  /// Where a half upload stands; nil when there is none of this name, or it is to become something else.
  ///
  /// A request that still writes to it is cut off, so that the answer stays true; one that has claimed it writes no more.
  ///
  /// - Parameter digest: nil: whatever it is to become.
  package func standing(_ name: String, _ digest: Digest?) -> Standing? {
    entries.withLock { entries in
      guard var entry = entries[name], !entry.isDiscarded, digest.map({ $0 == entry.identity.digest }) ?? true else { return nil }
      settle(&entry)
      if entry.isStored, blobs.place(of: entry.identity.digest) == nil {
        // Collected meanwhile: nothing is here any more.
        remove(name, &entries)
        return nil
      }
      entries[name] = entry
      return Standing(identity: entry.identity, offset: entry.count, isStored: entry.isStored)
    }
  }

  /// How many there are, and the bytes that they may take.
  package var totals: (count: Int, bytes: Int) {
    entries.withLock { entries in (entries.count, entries.values.reduce(0) { $0 + $1.reserved }) }
  }

  // MARK: Writing

  /// Begins one, from the first byte; what was there under its name goes.
  ///
  /// - Parameter expecting: bytes that will come now.
  /// - Throws: ``StorageError/crowded(_:)`` when there is no room and nothing that may go, ``StorageError/claimed`` while another request
  ///   makes a contribution of what is there.
  package func begin(_ identity: Identity, expecting: Int, maximumBytes: Int) throws(StorageError) -> StagedFile {
    let result: Result<StagedFile, StorageError> = entries.withLock { entries in
      // Before anything is touched: the files of a claim belong to its request.
      if entries[identity.name]?.isClaimed == true { return .failure(.claimed) }
      do throws(StorageError) {
        remove(identity.name, &entries)
        try makeRoom(for: identity, bytes: max(identity.length ?? 0, min(expecting, maximumBytes)), &entries)
        // The part first: a description without a part speaks of a blob.
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

  /// Goes on with one where it stands. Whoever wrote to it before is cut off. Blocks: after a restart the part is read once.
  ///
  /// - Throws: nothing for a wrong offset: then the file is nil, and the standing says where it stands. ``StorageError/claimed`` while another
  ///   request makes a contribution of what is there.
  package func resume(
    _ name: String, _ digest: Digest, at offset: Int, expecting: Int, maximumBytes: Int
  ) throws(StorageError) -> (standing: Standing?, file: StagedFile?) {
    guard let standing = standing(name, digest), standing.offset == offset, !standing.isStored else {
      return (self.standing(name, digest), nil)
    }
    let (known, isClaimed) = entries.withLock { ($0[name]?.progress, $0[name]?.isClaimed ?? false) }
    if isClaimed { throw .claimed }
    let progress = if let known { known } else { try read(part(name), upTo: offset) }
    let result: Result<(Standing?, StagedFile?), StorageError> = entries.withLock { entries in
      guard var entry = entries[name], entry.identity.digest == digest, entry.count == offset, entry.active == nil,
        case let progress = entry.progress ?? progress, progress.count == offset
      else { return .success((standing, nil)) }
      do throws(StorageError) {
        entries[name] = nil
        defer { entries[name] = entry }
        let bytes = max(entry.identity.length ?? 0, offset + min(expecting, max(0, maximumBytes - offset)))
        if bytes > entry.reserved { try makeRoom(for: entry.identity, bytes: bytes, &entries) }
        let file = try StagedFile(continuing: part(name), from: progress, maximumBytes: entry.identity.length ?? maximumBytes)
        entry.progress = progress
        entry.active = file
        entry.touched = time(nil)
        return .success((standing, file))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// A request is through with it; what it wrote stays.
  package func release(_ file: StagedFile, of name: String) {
    entries.withLock { entries in
      guard var entry = entries[name], entry.active === file, !entry.isClaimed else { return }
      settle(&entry)
      entries[name] = entry
    }
  }

  /// Nothing of this name is wanted any more. What a request has claimed goes when its claim ends.
  ///
  /// - Parameter digest: only if it is to become this; nil: whatever it is to become.
  package func discard(_ name: String, _ digest: Digest? = nil) {
    entries.withLock { entries in
      guard let entry = entries[name], digest.map({ $0 == entry.identity.digest }) ?? true else { return }
      if entry.isClaimed { entries[name]?.isDiscarded = true } else { remove(name, &entries) }
    }
  }

  /// Removes those that nobody has continued for too long.
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
    // The description first, see begin.
    unlink(description(name))
    unlink(part(name))
    unlink(claimed(name))
  }

  private func makeRoom(for identity: Identity, bytes: Int, _ entries: inout [String: Entry]) throws(StorageError) {
    func idle(_ isCandidate: (Entry) -> Bool) -> String? {
      entries.filter { $0.value.active == nil && isCandidate($0.value) }.min { ($0.value.touched, $0.key) < ($1.value.touched, $1.key) }?
        .key
    }
    while entries.values.count(where: { $0.identity.owner == identity.owner }) >= limits.perOwner {
      guard let name = idle({ $0.identity.owner == identity.owner }) else {
        throw .crowded("\(identity.owner) has \(limits.perOwner) uploads under way")
      }
      remove(name, &entries)
      evictions.note(name, limit: "partialUploadsPerNode")
    }
    guard bytes <= limits.bytes else { throw .tooLarge(maximumBytes: limits.bytes) }
    // Somebody who was here a moment ago comes back: his upload is not sacrificed to the next one.
    let horizon = time(nil) - limits.graceSeconds
    while entries.count >= limits.count || entries.values.reduce(bytes, { $0 + $1.reserved }) > limits.bytes {
      let limit = entries.count >= limits.count ? "partialUploads" : "partialMiB"
      guard let name = idle({ $0.touched <= horizon }) else { throw .crowded("\(entries.count) uploads are under way") }
      remove(name, &entries)
      evictions.note(name, limit: limit)
    }
  }

  func part(_ name: String) -> String { "\(folder)/\(Self.id(name)).part" }
  private func description(_ name: String) -> String { "\(folder)/\(Self.id(name)).json" }
  func claimed(_ name: String) -> String { "\(folder)/\(Self.id(name)).claimed" }
  /// Names come from the network: none is part of a path.
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
    // Not made durable: after a loss of power the sender begins anew.
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

  private static func restore(_ folder: String, _ blobs: BlobFolder) -> [String: Entry] {
    var entries: [String: Entry] = [:]
    var known: Set<String> = []
    for file in Files.names(in: folder) where file.hasSuffix(".json") {
      // One that cannot be read or understood is no upload: its files are removed below, and its sender begins anew.
      guard let bytes = try? Files.read("\(folder)/\(file)", atMost: 64 << 10), let read = try? JSON.decode(Description.self, from: bytes),
        read.version == 1, "\(id(read.identity.name)).json" == file, read.identity.length.map({ Bounds.bytes.contains($0) }) ?? true
      else { continue }
      let part = "\(file.dropLast(5)).part"
      var status = stat()
      // The process died while a request had claimed it: all bytes are there, and are checked again.
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
