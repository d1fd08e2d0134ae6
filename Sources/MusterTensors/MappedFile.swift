internal import Glibc

/// A file, or a part of one, mapped read-only; or a copy of bytes in memory.
///
/// `@unchecked Sendable` is sound because the pointer is set once and a private read-only mapping is never written to. Truncating a mapped
/// file in place makes its readers fault; Muster's files are replaced by rename and never rewritten.
final class MappedFile: @unchecked Sendable {
  let bytes: UnsafeRawBufferPointer
  /// Kept open for `read`; `nil` if only the mapping is used.
  private let descriptor: Int32?
  /// The position of `bytes` in the file.
  private let offset: Int
  /// The mapping, from a page boundary on; `nil` if `bytes` are allocated memory.
  private let mapping: UnsafeMutableRawBufferPointer?

  /// - Parameters:
  ///   - range: range of the file's bytes; `nil` for all of them.
  ///   - reading: keeps the file open for `read`, unless half of the descriptors that this process may have are in use.
  init(_ path: String, range: Range<Int>? = nil, reading: Bool = false) throws(SafetensorsError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system(action: "open", path: path, code: errno) }
    var isKept = false
    defer { if !isKept { close(descriptor) } }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .system(action: "examine", path: path, code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile(path: path) }
    let range = range ?? 0..<Int(status.st_size)
    // Touching a mapping beyond the end of the file faults.
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
    // The kernel assigns the lowest free descriptor, so its number says how many are in use.
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

  /// Copies a range of the bytes into the caller's memory, if `isReadable`.
  ///
  /// - Returns: `false` if they cannot be read. With a mapping, the same failure would end the process.
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

  /// Gives back the pages of these bytes, and those around them: when a page is touched, Linux also maps the rest of the piece that it
  /// caches as one, up to 2 MiB, and never unmaps it by itself. A thread that still reads there only causes the pages to be mapped again.
  func release(_ range: Range<Int>) {
    guard let mapping, let base = mapping.baseAddress else { return }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let (around, lead) = (2 << 20, mapping.count - bytes.count)
    let start = max(0, lead + range.lowerBound - around) / page * page
    let end = min(mapping.count, lead + range.upperBound + around) / page * page
    guard start < end else { return }
    // A page dropped from a private mapping that was never written is read from the file again.
    madvise(base + start, end - start, MADV_DONTNEED)
  }

  deinit {
    if let descriptor { close(descriptor) }
    if let mapping { munmap(mapping.baseAddress, mapping.count) } else { bytes.deallocate() }
  }
}
