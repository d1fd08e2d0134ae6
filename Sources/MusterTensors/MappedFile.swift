internal import Glibc

/// A whole file, mapped read-only.
///
/// `@unchecked Sendable`: the pointer is set once, and nobody writes to a private read-only mapping. Who truncates a mapped file in place
/// makes its readers fault: Muster's files are replaced by rename, never rewritten.
final class MappedFile: @unchecked Sendable {
  let bytes: UnsafeRawBufferPointer

  init(_ path: String) throws(SafetensorsError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system(action: "open", path: path, code: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .system(action: "examine", path: path, code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile(path: path) }
    let count = Int(status.st_size)
    if count == 0 { throw .tooShort(bytes: 0) }
    let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let address, address != MAP_FAILED else { throw .system(action: "map", path: path, code: errno) }
    bytes = UnsafeRawBufferPointer(start: address, count: count)
  }

  /// Gives back the pages that hold these bytes, and those around that came with them: the system maps some neighbours of a page that is
  /// touched (Linux: 64 KiB), and nobody else would ever give those back. Who reads there just now gets them again.
  func release(_ range: Range<Int>) {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let around = 128 << 10
    let start = max(0, range.lowerBound - around) / page * page
    let end = min(bytes.count, range.upperBound + around) / page * page
    guard start < end, let base = bytes.baseAddress else { return }
    // A private mapping that nobody writes to: a page that is dropped comes back from the file.
    madvise(UnsafeMutableRawPointer(mutating: base + start), end - start, MADV_DONTNEED)
  }

  /// Lets pages come one by one, not two megabytes at a time.
  func useSmallPages() {
    madvise(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count, MADV_NOHUGEPAGE)
  }

  deinit {
    munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
  }
}
