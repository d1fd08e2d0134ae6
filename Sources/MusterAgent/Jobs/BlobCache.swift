import MusterSchema
import MusterTransfer

/// Base models and training steps by their digest, so that none is fetched twice: the model that a round evaluates is the one that the next round starts from.
actor BlobCache {
  private let folder: String
  /// Digests whose bytes this process has seen whole; a file from before is read once more.
  private var verified: [Digest] = []

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
    if Files.exists(path), verified.contains(reference.digest) { return use(reference.digest, path) }
    if Files.exists(path), try await measure(UploadSource(file: path)).digest == reference.digest { return use(reference.digest, path) }
    guard reference.path.hasPrefix("/"), reference.bytes >= 0 else { throw .io("the model's path is not understood") }
    let url = address.hasSuffix("/") ? "\(address.dropLast())\(reference.path)" : "\(address)\(reference.path)"
    if reference.bytes <= Self.smallBody {
      let body = try await http.send("GET", url).body
      let digest = Digest(of: body)
      guard digest == reference.digest else { throw .digestMismatch(expected: reference.digest, got: digest) }
      do {
        try Files.write(body, to: path, mode: 0o444, durable: false)
      } catch {
        throw .io("\(error)")
      }
    } else {
      try await http.download(url, to: path, expecting: reference.digest, maximumBytes: min(reference.bytes, Self.maximumBytes))
    }
    return use(reference.digest, path)
  }

  private func use(_ digest: Digest, _ path: String) -> String {
    verified.removeAll { $0 == digest }
    verified.append(digest)
    if verified.count > Self.kept { verified.removeFirst(verified.count - Self.kept) }
    let wanted = Set(verified.map(\.hexadecimal))
    for name in Files.names(in: folder) where !wanted.contains(String(name.prefix { $0 != "." })) { Files.remove("\(folder)/\(name)") }
    return path
  }
}
