import Glibc
import MusterGround
import MusterSchema
import Synchronization

/// A record of an upload's progress, in the file `upload.json` beside the result.
///
/// Only the server knows how many bytes it has. The mark tells an agent that was ended for any reason that there is an upload to ask about.
/// So it is written when the server acknowledges the first part, and then at most once a second.
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

  /// The mark in a folder; `nil` when no upload was begun, when the mark is about other bytes, or when the file cannot be decoded. The
  /// upload then begins again, which is all that a lost mark costs.
  static func read(in folder: String, of digest: Digest) -> UploadMark? {
    // Every kind of damage has the same result: there is no mark.
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

/// Updates an upload's mark while its parts are acknowledged.
final class UploadMarker: Sendable {
  private let folder: String
  private let digest: Digest
  private let written = Mutex<ContinuousClock.Instant?>(nil)

  init(folder: String, digest: Digest) {
    self.folder = folder
    self.digest = digest
  }

  func acknowledged(_ offset: Int, of total: Int) async throws(FileError) {
    let now = ContinuousClock.now
    let isDue = written.withLock { written in
      if let last = written, now < last + .seconds(1) { return false }
      written = now
      return true
    }
    guard isDue else { return }
    let (folder, mark) = (folder, UploadMark(digest: digest, offset: offset, total: total))
    // The flush waits for the disk.
    try await offload { () throws(FileError) in try mark.write(in: folder) }
  }
}
