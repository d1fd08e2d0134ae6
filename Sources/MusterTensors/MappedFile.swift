internal import Glibc

/// A file, or a part of one, mapped read-only; or a copy of bytes that are in no file.
///
/// `@unchecked Sendable`: the pointer is set once, and nobody writes to a private read-only mapping. Who truncates a mapped file in place
/// makes its readers fault: Muster's files are replaced by rename, never rewritten.
final class MappedFile: @unchecked Sendable {
  let bytes: UnsafeRawBufferPointer
  /// Kept open for `read`; nil: the mapping is all there is.
  private let descriptor: Int32?
  /// Where `bytes` begin in the file.
  private let offset: Int
  /// From a page's boundary; nil: `bytes` are memory of their own.
  private let mapping: UnsafeMutableRawBufferPointer?

  /// - Parameters:
  ///   - range: of the file's bytes; nil: all of them.
  ///   - reading: keeps the file open for `read`, unless half of the descriptors that this process may have are taken.
  init(_ path: String, range: Range<Int>? = nil, reading: Bool = false) throws(SafetensorsError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system(action: "open", path: path, code: errno) }
    var isKept = false
    defer { if !isKept { close(descriptor) } }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .system(action: "examine", path: path, code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile(path: path) }
    let range = range ?? 0..<Int(status.st_size)
    // Beyond the end of a file a mapping faults.
    guard 0 <= range.lowerBound, range.upperBound <= Int(status.st_size) else {
      throw .tooShort(bytes: max(0, Int(status.st_size) - range.lowerBound))
    }
    if range.isEmpty { throw .tooShort(bytes: 0) }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let start = range.lowerBound / page * page
    let address = mmap(nil, range.upperBound - start, PROT_READ, MAP_PRIVATE, descriptor, off_t(start))
    guard let address, address != MAP_FAILED else { throw .system(action: "map", path: path, code: errno) }
    let mapping = UnsafeMutableRawBufferPointer(start: address, count: range.upperBound - start)
    self.mapping = mapping
    offset = range.lowerBound
    bytes = UnsafeRawBufferPointer(rebasing: mapping[(range.lowerBound - start)...])
    // Descriptors are numbered from the lowest that is free: the number says how many there are.
    isKept = reading && Int(descriptor) < Int(sysconf(Int32(_SC_OPEN_MAX))) / 2
    self.descriptor = isKept ? descriptor : nil
  }

  init(copying bytes: [UInt8]) throws(SafetensorsError) {
    if bytes.isEmpty { throw .tooShort(bytes: 0) }
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
    copy.copyBytes(from: bytes)
    self.bytes = UnsafeRawBufferPointer(copy)
    (descriptor, offset, mapping) = (nil, 0, nil)
  }

  var isReadable: Bool { descriptor != nil }

  /// Copies some of the file's bytes to memory that is the caller's own. Of one that is readable.
  ///
  /// - Returns: false when they cannot be read; a mapping would end the process.
  func read(_ range: Range<Int>, into target: UnsafeMutableRawPointer) -> Bool {
    guard let descriptor else { return false }
    var done = 0
    while done < range.count {
      let count = pread(descriptor, target + done, range.count - done, off_t(offset + range.lowerBound + done))
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
    guard let mapping, let base = mapping.baseAddress else { return }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let (around, lead) = (2 << 20, mapping.count - bytes.count)
    let start = max(0, lead + range.lowerBound - around) / page * page
    let end = min(mapping.count, lead + range.upperBound + around) / page * page
    guard start < end else { return }
    // A private mapping that nobody writes to: a page that is dropped comes back from the file.
    madvise(base + start, end - start, MADV_DONTNEED)
  }

  deinit {
    if let descriptor { close(descriptor) }
    if let mapping { munmap(mapping.baseAddress, mapping.count) } else { bytes.deallocate() }
  }
}
