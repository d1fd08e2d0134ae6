import Glibc
import MusterGround
import MusterSchema
import Synchronization

/// How far an upload came, in a small file beside what is uploaded: `upload.json`.
///
/// The server alone knows where the upload really stands: the mark says that there is something to ask for, after whatever ended the agent.
/// So it is on the disk with the first part that the server acknowledged, and follows the others from second to second.
struct UploadMark: Codable, Hashable {
  var version = 1
  var digest: Digest
  var offset: Int
  var total: Int

  init(digest: Digest, offset: Int, total: Int) {
    self.digest = digest
    self.offset = offset
    self.total = total
  }

  private static func path(_ folder: String) -> String { "\(folder)/upload.json" }

  /// Nil when nothing was begun, or it was about other bytes, or the file is not understood: then the upload begins anew, which is all that
  /// a lost mark costs.
  static func read(in folder: String, of digest: Digest) -> UploadMark? {
    // Whatever is wrong with it, the answer is the same: no mark.
    guard let bytes = try? Files.read(path(folder), atMost: 4096), let mark = try? JSON.decode(UploadMark.self, from: bytes),
      mark.version == 1, mark.digest == digest
    else { return nil }
    return mark
  }

  func write(in folder: String) throws(FileError) {
    let bytes: [UInt8]
    do {
      bytes = try JSON.encode(self)
    } catch {
      throw FileError(.written, Self.path(folder), EINVAL)
    }
    try Files.replace(Self.path(folder), with: bytes, durable: true)
  }
}

/// Keeps an upload's mark, as its parts are acknowledged.
final class UploadMarker: Sendable {
  private let folder: String
  private let digest: Digest
  private let written = Mutex<ContinuousClock.Instant?>(nil)

  init(folder: String, digest: Digest) {
    self.folder = folder
    self.digest = digest
  }

  func acknowledged(_ offset: Int, of total: Int) throws(FileError) {
    let now = ContinuousClock.now
    let isDue = written.withLock { written in
      if let last = written, now < last + .seconds(1) { return false }
      written = now
      return true
    }
    if isDue { try UploadMark(digest: digest, offset: offset, total: total).write(in: folder) }
  }
}
