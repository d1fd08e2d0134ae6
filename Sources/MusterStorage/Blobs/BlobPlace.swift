/// The place of a blob's bytes: a file, or a part of one.
package struct BlobPlace: Hashable, Sendable {
  package let path: String
  /// The part of the file that is the blob; `nil` means the whole file.
  package let range: Range<Int>?

  package init(path: String, range: Range<Int>? = nil) {
    self.path = path
    self.range = range
  }
}
