/// Where the bytes of a blob lie.
package struct BlobPlace: Hashable, Sendable {
  package let path: String
  /// The part of the file that is the blob; nil: the whole file.
  package let range: Range<Int>?

  package init(path: String, range: Range<Int>? = nil) {
    self.path = path
    self.range = range
  }
}
