internal import Glibc

/// A whole file, mapped read-only.
///
/// `@unchecked Sendable`: the pointer is set once, and nobody writes to a private read-only mapping. Who truncates a mapped file in place
/// makes its readers fault: Muster's files are replaced by rename, never rewritten.
final class MappedFile: @unchecked Sendable {
  let bytes: UnsafeRawBufferPointer
  /// Kept open for `read`; nil: the mapping is all there is.
  private let descriptor: Int32?

  /// - Parameter reading: keeps the file open for `read`, unless half of the descriptors that this process may have are taken.
  init(_ path: String, reading: Bool = false) throws(SafetensorsError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system(action: "open", path: path, code: errno) }
    var isKept = false
    defer { if !isKept { close(descriptor) } }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .system(action: "examine", path: path, code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile(path: path) }
    let count = Int(status.st_size)
    if count == 0 { throw .tooShort(bytes: 0) }
    let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let address, address != MAP_FAILED else { throw .system(action: "map", path: path, code: errno) }
    bytes = UnsafeRawBufferPointer(start: address, count: count)
    // Descriptors are numbered from the lowest that is free: the number says how many there are.
    isKept = reading && Int(descriptor) < Int(sysconf(Int32(_SC_OPEN_MAX))) / 2
    self.descriptor = isKept ? descriptor : nil
  }

  var isReadable: Bool { descriptor != nil }

  /// Copies some of the file's bytes to memory that is the caller's own. Of one that is readable.
  ///
  /// - Returns: false when they cannot be read; a mapping would end the process.
  func read(_ range: Range<Int>, into target: UnsafeMutableRawPointer) -> Bool {
    guard let descriptor else { return false }
    var done = 0
    while done < range.count {
      let count = pread(descriptor, target + done, range.count - done, off_t(range.lowerBound + done))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      done += count
    }
    return true
  }

  /// Gives back the pages that hold these bytes, and those around that came with them: the system maps what lies around a page that is
  /// touched (Linux: as much as it keeps in one piece, 2 MiB at most), and nobody else would ever give that back. Who reads there just now
  /// gets it again.
  func release(_ range: Range<Int>) {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let around = 2 << 20
    let start = max(0, range.lowerBound - around) / page * page
    let end = min(bytes.count, range.upperBound + around) / page * page
    guard start < end, let base = bytes.baseAddress else { return }
    // A private mapping that nobody writes to: a page that is dropped comes back from the file.
    madvise(UnsafeMutableRawPointer(mutating: base + start), end - start, MADV_DONTNEED)
  }

  deinit {
    if let descriptor { close(descriptor) }
    munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
  }
}
