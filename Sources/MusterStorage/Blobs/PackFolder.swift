import Glibc
import Logging
import MusterGround
import MusterSchema
import Synchronization

/// Keeps small blobs, several in one file (a pack), so that several blobs cost one file to make, flush and remove.
///
/// Bodies that arrive while a pack is written and flushed are collected, and become the next pack. A body that arrives when no pack is
/// being written is written at once. A pack is removed when the last blob in it is no longer needed.
final class PackFolder: Sendable {
  fileprivate struct Entry {
    var pack: Int
    var range: Range<Int>
  }

  fileprivate struct Pack {
    var path: String
    /// The number of its blobs that are still needed.
    var live: Int
    /// When a blob in it was last added or refreshed: seconds since 1970.
    var touched: Int
  }

  fileprivate struct Waiting {
    var digest: Digest
    var body: [UInt8]
    var continuation: CheckedContinuation<StorageError?, Never>
  }

  fileprivate struct State {
    /// The place of each blob, grouped by the first byte of the digest.
    var index = [[Digest: Entry]](repeating: [:], count: BlobFolder.prefixes)
    var packs: [Int: Pack] = [:]
    var nextPack = 0
    var waiting: [Waiting] = []
    var isWriting = false
  }

  private let folder: String
  private let staging: String
  private let state: Mutex<State>

  /// Reads the header of every pack in the folder. Blocks.
  init(folder: String, staging: String, logger: Logger) throws(StorageError) {
    self.folder = folder
    self.staging = staging
    try makeFolder(folder)
    var state = State()
    for name in Files.names(in: folder) {
      let path = "\(folder)/\(name)"
      var status = stat()
      guard let blobs = try PackFile.read(path), lstat(path, &status) == 0 else {
        logger.warning("\(path) is not a pack of small blobs, or is damaged; the file is ignored, and the blobs in it count as missing")
        continue
      }
      state.add(blobs.map { ($0.digest, $0.range) }, path: path, touched: status.st_mtim.tv_sec)
    }
    self.state = Mutex(state)
  }

  // MARK: In

  /// Makes a body a durable blob.
  ///
  /// - Parameters:
  ///   - body: at most ``PackFile/largestBlob`` bytes.
  ///   - digest: the digest of `body`.
  func add(_ body: [UInt8], _ digest: Digest) async throws(StorageError) {
    if refresh(digest) { return }
    let failure = await withCheckedContinuation { continuation in
      let begins = state.withLock { state in
        state.waiting.append(Waiting(digest: digest, body: body, continuation: continuation))
        defer { state.isWriting = true }
        return !state.isWriting
      }
      if begins { BlockingPool.shared.run { self.writeWaiting() } }
    }
    if let failure { throw failure }
  }

  /// Writes packs until no body waits.
  private func writeWaiting() {
    while case let group = takeGroup(), !group.isEmpty {
      // If the whole group fails, each body is tried alone: on a nearly full disk one body may fit where the group does not.
      if case let failure = failure(of: group), failure == nil || group.count == 1 {
        for waiting in group { waiting.continuation.resume(returning: failure) }
      } else {
        for waiting in group { waiting.continuation.resume(returning: self.failure(of: [waiting])) }
      }
    }
  }

  private func failure(of group: [Waiting]) -> StorageError? {
    do throws(StorageError) {
      try write(group)
      return nil
    } catch {
      return error
    }
  }

  private func takeGroup() -> [Waiting] {
    state.withLock { state in
      let group = Array(state.waiting.prefix(PackFile.most))
      state.waiting.removeFirst(group.count)
      state.isWriting = !group.isEmpty
      return group
    }
  }

  private func write(_ group: [Waiting]) throws(StorageError) {
    // Two senders may have sent the same bytes.
    var seen: Set<Digest> = []
    let group = group.filter { seen.insert($0.digest).inserted }
    let (header, places) = PackFile.layout(group.map { ($0.digest, $0.body.count) })
    let name = String(UInt64.random(in: 0...UInt64.max), radix: 36)
    let (staged, path) = ("\(staging)/\(name)", "\(folder)/\(name)")
    let descriptor = open(staged, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw StorageError(errno, "\(staged) cannot be made") }
    defer { close(descriptor) }
    do throws(StorageError) {
      try writeAll(descriptor, header, staged)
      for (waiting, place) in zip(group, places) {
        try waiting.body.withBytes { (bytes) throws(StorageError) in try writeAll(descriptor, bytes, at: place.lowerBound, staged) }
      }
      guard fdatasync(descriptor) == 0 else { throw StorageError(errno, "\(staged) cannot be made durable") }
      guard rename(staged, path) == 0 else { throw StorageError(errno, "\(path) cannot be written") }
    } catch {
      unlink(staged)
      throw error
    }
    try synchronizeFolder(folder)
    state.withLock { $0.add(Array(zip(group.map(\.digest), places)), path: path, touched: time(nil)) }
  }

  // MARK: Out

  /// The place of a blob. `nil` when no pack holds it, or when the file of its pack was removed.
  func place(of digest: Digest) -> BlobPlace? {
    let place = state.withLock { state -> BlobPlace? in
      guard let entry = state.index[digest.prefix][digest], let pack = state.packs[entry.pack] else { return nil }
      return BlobPlace(path: pack.path, range: entry.range)
    }
    return place.flatMap { access($0.path, R_OK) == 0 ? $0 : nil }
  }

  /// Makes a blob count as new.
  ///
  /// - Returns: whether a pack holds the blob.
  func refresh(_ digest: Digest) -> Bool {
    state.withLock { state in
      guard let entry = state.index[digest.prefix][digest], let pack = state.packs[entry.pack] else { return false }
      // The file's time is for the next process. This process uses `touched`.
      guard utimensat(AT_FDCWD, pack.path, nil, 0) == 0 else { return false }
      state.packs[entry.pack]?.touched = time(nil)
      return true
    }
  }

  /// The blobs whose digest begins with this byte, in packs that were last touched at `horizon` or earlier.
  func old(prefix: Int, before horizon: Int) -> [Digest] {
    state.withLock { state in
      state.index[prefix].filter { state.packs[$0.value.pack].map { $0.touched <= horizon } ?? false }.map(\.key)
    }
  }

  /// Gives a blob up, unless its pack was touched after `horizon`. The disk space is freed when the last blob of the pack is given up.
  ///
  /// - Returns: the size of the blob in bytes, or 0 when it stays.
  func discard(_ digest: Digest, before horizon: Int) -> Int {
    state.withLock { state in
      guard let entry = state.index[digest.prefix][digest], var pack = state.packs[entry.pack], pack.touched <= horizon else { return 0 }
      state.index[digest.prefix][digest] = nil
      pack.live -= 1
      state.packs[entry.pack] = pack.live > 0 ? pack : nil
      if pack.live == 0 { unlink(pack.path) }
      return entry.range.count
    }
  }
}

extension PackFolder.State {
  /// Adds a durable pack. A blob that another pack already holds stays in that pack.
  fileprivate mutating func add(_ blobs: [(Digest, Range<Int>)], path: String, touched: Int) {
    nextPack += 1
    var fresh: [(Digest, Range<Int>)] = []
    for (digest, range) in blobs {
      if let known = index[digest.prefix][digest]?.pack, let pack = packs[known] {
        if access(pack.path, F_OK) == 0 { continue }
        // The pack's file was removed from outside.
        packs[known] = nil
      }
      fresh.append((digest, range))
    }
    guard !fresh.isEmpty else {
      unlink(path)
      return
    }
    for (digest, range) in fresh { index[digest.prefix][digest] = PackFolder.Entry(pack: nextPack, range: range) }
    packs[nextPack] = PackFolder.Pack(path: path, live: fresh.count, touched: touched)
  }
}

extension Digest {
  /// The first byte of the digest.
  fileprivate var prefix: Int { Int(hexadecimal.prefix(2), radix: 16) ?? 0 }
}
