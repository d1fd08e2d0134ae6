import MusterGround
import MusterSchema
import MusterTransfer

/// Base models and training steps by their digest, so that none is fetched twice: the model that a round evaluates is the one that the next round starts from.
actor BlobCache {
  private let folder: String
  /// Files whose bytes this process has seen whole; one from before, or that somebody has touched, is read once more.
  private var verified: [(digest: Digest, stamp: Files.Stamp?)] = []

  /// Two models and a training step.
  private static let kept = 3
  /// Bodies up to here are fetched through memory, which spares the disk two flushes: what a loss of power takes is fetched again.
  private static let smallBody = 1 << 20
  static let maximumBytes = 64 << 30

  init(folder: String) { self.folder = folder }

  /// The file of a blob, fetched if it is not there.
  ///
  /// - Parameter address: the coordinator's data address.
  func file(_ reference: ModelReference, from address: String, http: HTTPClient) async throws(TransferError) -> String {
    let path = "\(folder)/\(reference.digest.hexadecimal)"
    if isIntact(reference.digest) { return use(reference.digest, path) }
    if Files.exists(path), try await measure(UploadSource(file: path)).digest == reference.digest { return use(reference.digest, path) }
    guard reference.path.hasPrefix("/"), reference.bytes >= 0 else { throw .io("the model's path is not understood") }
    let url = address.hasSuffix("/") ? "\(address.dropLast())\(reference.path)" : "\(address)\(reference.path)"
    if reference.bytes <= Self.smallBody {
      let body = try await http.send("GET", url).body
      let digest = Digest(of: body)
      guard digest == reference.digest else { throw .digestMismatch(expected: reference.digest, got: digest) }
      do {
        try Files.replace(path, with: body, mode: 0o444, durable: false)
      } catch {
        throw .io("\(error)")
      }
    } else {
      try await http.download(
        url, to: path, expecting: reference.digest, maximumBytes: min(reference.bytes, Self.maximumBytes), durable: false)
      // A trainer may run as another user.
      do { try Files.setMode(path, 0o444) } catch { throw .io("\(error)") }
    }
    return use(reference.digest, path)
  }

  /// Whether nobody wrote to the blob's file since its bytes were seen whole: trainers have links to it.
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
