import Glibc
import MusterSchema

/// The format of a pack: a file that holds several small blobs.
///
///     muster pack 1
///     DIGITS BYTES        a line for each blob, in order
///                         an empty line
///     …                   the blobs, each from the next multiple of 64 bytes on
///
/// A pack is written once and never changed.
enum PackFile {
  /// The largest number of blobs in one pack.
  static let most = 64
  /// The largest blob in bytes. A file of its own is no more expensive for a larger one.
  static let largestBlob = 256 << 10

  private static let title = "muster pack 1"
  private static let alignment = 64
  /// The length in bytes of the longest header, that of a pack with the largest number of blobs.
  private static let longestHeader = title.utf8.count + 1 + most * (64 + 1 + 20 + 1) + 1

  /// Builds the header, and the range of bytes in the file for each blob.
  static func layout(_ blobs: [(digest: Digest, count: Int)]) -> (header: [UInt8], places: [Range<Int>]) {
    var text = "\(title)\n"
    for blob in blobs { text += "\(blob.digest.hexadecimal) \(blob.count)\n" }
    text += "\n"
    return (Array(text.utf8), places(after: text.utf8.count, blobs.map(\.count)))
  }

  /// Reads the header of a pack. `nil` when the file is not a pack, or is shorter than its header says.
  static func read(_ path: String) throws(StorageError) -> [(digest: Digest, range: Range<Int>)]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { throw StorageError(errno, "\(path) cannot be read") }
    defer { close(descriptor) }
    var status = stat()
    var bytes = [UInt8](repeating: 0, count: longestHeader)
    let count = pread(descriptor, &bytes, bytes.count, 0)
    guard count >= 0, fstat(descriptor, &status) == 0 else { throw StorageError(errno, "\(path) cannot be read") }
    guard let blobs = parse(bytes.prefix(count)), blobs.last?.range.upperBound ?? 0 <= Int(status.st_size) else { return nil }
    return blobs
  }

  private static func parse(_ bytes: ArraySlice<UInt8>) -> [(digest: Digest, range: Range<Int>)]? {
    var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).makeIterator()
    guard lines.next().map({ String(decoding: $0, as: UTF8.self) }) == title else { return nil }
    var (digests, counts): ([Digest], [Int]) = ([], [])
    while let line = lines.next() {
      if line.isEmpty { return Array(zip(digests, places(after: line.endIndex + 1, counts)).map { ($0, $1) }) }
      let words = line.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
      guard digests.count < most, words.count == 2, let digest = Digest(words[0]), let count = Int(words[1]), 0...largestBlob ~= count
      else {
        return nil
      }
      digests.append(digest)
      counts.append(count)
    }
    return nil
  }

  private static func places(after header: Int, _ counts: [Int]) -> [Range<Int>] {
    var end = header
    return counts.map { count in
      let start = (end + alignment - 1) / alignment * alignment
      end = start + count
      return start..<end
    }
  }
}
