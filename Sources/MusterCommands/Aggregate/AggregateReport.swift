import Glibc
import MusterAggregation
import MusterSchema

/// The report of `muster aggregate`.
struct AggregateReport: Encodable {
  struct Refused: Encodable {
    var update: String
    var reason: String
  }

  var out: String
  var digest: Digest
  var stateOut: String?
  var stateDigest: Digest?
  /// The files that count in the result, in the order in which they were folded.
  var accepted: [String]
  var refused: [Refused]
  /// The sum of the accepted weights.
  var weight: Double
  /// Bytes of tensor data read, including the base's.
  var bytesRead: Int
  var seconds: Double

  init(_ result: AggregationResult, out: String, stateOut: String?) throws {
    self.out = out
    digest = try Self.digest(out)
    self.stateOut = stateOut
    stateDigest = try stateOut.map(Self.digest)
    accepted = result.accepted
    refused = result.refused.map { Refused(update: $0.path, reason: $0.reason) }
    weight = result.weight
    bytesRead = result.bytesRead
    let (seconds, attoseconds) = result.duration.components
    self.seconds = Double(seconds) + Double(attoseconds) / 1e18
  }

  func show(as format: OutputFormat) throws {
    switch format {
    case .json: try Console.show(json: self)
    case .table:
      let all = accepted.count + refused.count
      try Console.print(
        "\(out)  \(digest)  \(accepted.count) of \(Words.count(all, "update")), weight \(Words.number(weight, digits: 1)), "
          + "\(Words.bytes(bytesRead)) read in \(Words.number(seconds, digits: 3)) s")
      for update in refused { try Console.print("refused  \(update.update)  \(update.reason)".withoutControlCharacters) }
      if let stateOut, let stateDigest { try Console.print("\(stateOut)  \(stateDigest)  the server optimizer's state") }
    }
  }

  /// The digest of a file, by which central would name it.
  private static func digest(_ path: String) throws -> Digest {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    defer { if descriptor >= 0 { close(descriptor) } }
    var hasher = Digest.Hasher()
    var count = descriptor
    try withUnsafeTemporaryAllocation(byteCount: 1 << 18, alignment: 64) { buffer in
      repeat {
        count = count < 0 ? -1 : Int32(read(descriptor, buffer.baseAddress, buffer.count))
        guard count >= 0 else { throw CommandError(.unexpected, "\(path) cannot be read: \(String(cString: strerror(errno)))") }
        hasher.update(UnsafeRawBufferPointer(rebasing: buffer[0..<Int(count)]))
      } while count > 0
    }
    return hasher.finish()
  }
}
