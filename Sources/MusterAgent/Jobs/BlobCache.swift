import MusterGround
import MusterSchema
import MusterTransfer

/// A cache of base models and training steps by digest, so that none is fetched twice. One round's result is the next one's base.
actor BlobCache {
  private let folder: String
  /// Files whose bytes this process has verified. A file of an earlier process, or one that was changed since, is read and verified again.
  private var verified: [(digest: Digest, stamp: Files.Stamp?)] = []

  /// The number of files to keep: two models and a training step.
  private static let kept = 3
  /// Bodies up to this size are fetched through memory, which saves two flushes of the disk. A file lost with the power is fetched again.
  private static let smallBody = 1 << 20
  static let maximumBytes = 64 << 30

  init(folder: String) { self.folder = folder }

  /// The path of a blob's file. The blob is fetched if it is missing.
  ///
  /// - Parameter address: the coordinator's data address.
  func file(_ reference: ModelReference, from address: String, http: HTTPClient) async throws(TransferError) -> String {
    let path = "\(folder)/\(reference.digest.hexadecimal)"
    if isIntact(reference.digest) { return use(reference.digest, path) }
    if Files.exists(path), try await measure(UploadSource(file: path)).digest == reference.digest { return use(reference.digest, path) }
    guard reference.path.hasPrefix("/"), reference.bytes >= 0 else { throw .io("the model's path is not valid") }
    let url = address.hasSuffix("/") ? "\(address.dropLast())\(reference.path)" : "\(address)\(reference.path)"
    if reference.bytes <= Self.smallBody {
      let body = try await http.send("GET", url).body
      let digest = Digest(of: body)
      guard digest == reference.digest else { throw .digestMismatch(expected: reference.digest, got: digest) }
      do { try Files.replace(path, with: body, mode: 0o444, durable: false) } catch { throw .file(error) }
    } else {
      try await http.download(
        url, to: path, expecting: reference.digest, maximumBytes: min(reference.bytes, Self.maximumBytes), durable: false)
      // A trainer that runs as another user must be able to read the file.
      do { try Files.setMode(path, 0o444) } catch { throw .file(error) }
    }
    return use(reference.digest, path)
  }

  /// Whether the blob's file is unchanged since its bytes were verified. Trainers have links to the file and might write to it.
  private func isIntact(_ digest: Digest) -> Bool {
    guard let seen = verified.first(where: { $0.digest == digest })?.stamp else { return false }
    return Files.stamp("\(folder)/\(digest.hexadecimal)") == seen
  }

  private func use(_ digest: Digest, _ path: String) -> String {
    verified.removeAll { $0.digest == digest }
    verified.append((digest, Files.stamp(path)))
    if verified.count > Self.kept { verified.removeFirst(verified.count - Self.kept) }
    let wanted = Set(verified.map(\.digest.hexadecimal))
    for name in Files.names(in: folder) where !wanted.contains(String(name.prefix { $0 != "." })) { Files.remove("\(folder)/\(name)") }
    return path
  }
}
