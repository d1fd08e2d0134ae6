internal import Glibc
internal import MusterGround

/// Writes a safetensors file piece by piece: the header first, then the data of its tensors in the header's order.
///
/// The file appears at `path` only with `finish(durable:)`. A writer that is released before that leaves nothing behind, and an existing
/// file at `path` stays as it was.
public final class SafetensorsWriter {
  /// The path at which the file appears.
  public let path: String
  /// The header that was written.
  public let header: SafetensorsHeader
  /// Number of data bytes written so far.
  public private(set) var written = 0
  private let temporary: String
  private var descriptor: Int32

  /// Begins a file with the layout of `SafetensorsHeader.init(tensors:metadata:)`: `header.tensors` gives the order of the data.
  ///
  /// - Throws: errors of that layout, or `system`.
  public convenience init(
    path: String, tensors: [TensorDescription], metadata: [String: String] = [:]
  ) throws(SafetensorsError) {
    try self.init(path: path, header: SafetensorsHeader(tensors: tensors, metadata: metadata))
  }

  /// Begins a file with this header, made by `SafetensorsHeader.init(tensors:metadata:)` or `replacing(metadata:)`.
  ///
  /// - Throws: `system`.
  public init(path: String, header: SafetensorsHeader) throws(SafetensorsError) {
    let encoded = header.encoded()
    // A header that was read may be spelled differently from ours, which gives it another data offset.
    self.header = SafetensorsHeader(checked: header.tensors, metadata: header.metadata, dataOffset: encoded.count)
    self.path = path
    temporary = "\(path).\(getpid())-\(String(UInt32.random(in: .min ... .max), radix: 16)).tmp"
    descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    if descriptor < 0 { throw .system(action: "create", path: temporary, code: errno) }
    try encoded.withRawBytes { (raw) throws(SafetensorsError) in try put(raw) }
  }

  deinit {
    if descriptor >= 0 {
      close(descriptor)
      unlink(temporary)
    }
  }

  /// Appends data, in pieces of any length.
  ///
  /// - Throws: `wrongDataLength` for more data than the header states, or `system`.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(SafetensorsError) {
    guard bytes.count <= header.dataByteCount - written else {
      throw .wrongDataLength(tensor: nil, expected: header.dataByteCount, found: written + bytes.count)
    }
    try put(bytes)
    written += bytes.count
  }

  /// Appends data, in pieces of any length.
  ///
  /// - Throws: `wrongDataLength` for more data than the header states, or `system`.
  public func write(_ bytes: [UInt8]) throws(SafetensorsError) {
    try bytes.withRawBytes { (raw) throws(SafetensorsError) in try write(raw) }
  }

  /// Writes data at given places, as offsets into the data section; several threads may do this at once for different places.
  ///
  /// The caller must write every byte once, and then call `filled()` before `finish(durable:)`.
  package var places: SafetensorsPlaces {
    SafetensorsPlaces(
      descriptor: descriptor, temporary: temporary, dataOffset: header.dataOffset, dataByteCount: header.dataByteCount)
  }

  /// Says that all data was written at its place.
  package func filled() { written = header.dataByteCount }

  /// Moves the file to `path`, replacing what was there.
  ///
  /// - Parameter durable: `true` waits until file and name are on the disk. Pass `false` for a file that may be lost in a power failure, or
  ///   that its next owner makes durable.
  /// - Throws: `wrongDataLength` if data is missing, or `system`. Then `path` is unchanged, unless only syncing its folder failed.
  public func finish(durable: Bool = true) throws(SafetensorsError) {
    guard written == header.dataByteCount else {
      throw .wrongDataLength(tensor: nil, expected: header.dataByteCount, found: written)
    }
    guard !durable || fsync(descriptor) == 0 else { throw .system(action: "sync", path: temporary, code: errno) }
    guard rename(temporary, path) == 0 else { throw .system(action: "rename to", path: path, code: errno) }
    close(descriptor)
    descriptor = -1
    guard durable else { return }
    do throws(FileError) { try Files.makeDurable(Files.folder(of: path)) } catch { throw SafetensorsError(error) }
  }

  private func put(_ bytes: UnsafeRawBufferPointer) throws(SafetensorsError) {
    do throws(FileError) { try Files.write(bytes, to: descriptor, temporary) } catch { throw SafetensorsError(error) }
  }
}

/// Writes at places of a writer's data section, for threads that share the work. Valid as long as the writer.
package struct SafetensorsPlaces: Sendable {
  let descriptor: Int32
  let temporary: String
  let dataOffset: Int
  let dataByteCount: Int

  /// Writes data at an offset into the data section.
  ///
  /// - Throws: `wrongDataLength` for a place outside the data section, or `system`.
  package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(SafetensorsError) {
    guard offset >= 0, bytes.count <= dataByteCount - offset else {
      throw .wrongDataLength(tensor: nil, expected: dataByteCount, found: offset + bytes.count)
    }
    do throws(FileError) {
      try Files.write(bytes, to: descriptor, at: dataOffset + offset, temporary)
    } catch {
      throw SafetensorsError(error)
    }
  }
}

extension SafetensorsWriter {
  /// The first bytes of a file of these tensors: length and header.
  public static func headerBytes(
    tensors: [TensorDescription], metadata: [String: String] = [:]
  ) throws(SafetensorsError) -> [UInt8] {
    try SafetensorsHeader(tensors: tensors, metadata: metadata).encoded()
  }

  /// Writes a whole file at once, replacing what was there. The same tensors and metadata, in any order, give the same bytes.
  ///
  /// - Throws: `SafetensorsError`.
  public static func write(_ tensors: [Tensor], metadata: [String: String] = [:], to path: String) throws(SafetensorsError) {
    let writer = try SafetensorsWriter(path: path, tensors: tensors.map(\.description), metadata: metadata)
    let byName = Dictionary(tensors.map { ($0.name, $0) }) { first, _ in first }
    for info in writer.header.tensors {
      guard let tensor = byName[info.name] else { throw .noSuchTensor(info.name) }
      try writer.write(tensor.data)
    }
    try writer.finish()
  }

  /// The bytes of a whole file, in memory.
  public static func bytes(_ tensors: [Tensor], metadata: [String: String] = [:]) throws(SafetensorsError) -> [UInt8] {
    let header = try SafetensorsHeader(tensors: tensors.map(\.description), metadata: metadata)
    let byName = Dictionary(tensors.map { ($0.name, $0) }) { first, _ in first }
    var bytes = header.encoded()
    bytes.reserveCapacity(header.fileByteCount)
    for info in header.tensors {
      guard let tensor = byName[info.name] else { throw .noSuchTensor(info.name) }
      bytes.append(contentsOf: tensor.data)
    }
    return bytes
  }

  /// Copies the file's tensors into a file with other metadata. The data is never in memory as a whole.
  ///
  /// - Parameters:
  ///   - file: the file to copy.
  ///   - metadata: the new metadata, which replaces the old.
  ///   - path: may be the file's own path.
  /// - Throws: `SafetensorsError`.
  public static func rewriteMetadata(
    from file: SafetensorsFile, metadata: [String: String], to path: String
  ) throws(SafetensorsError) {
    let writer = try SafetensorsWriter(path: path, header: file.header.replacing(metadata: metadata))
    try file.withData { (data) throws(SafetensorsError) in try writer.write(data) }
    try writer.finish()
  }
}

extension SafetensorsError {
  init(_ error: FileError) {
    let action =
      switch error.action {
      case .written: "write"
      case .renamed: "rename to"
      case .madeDurable: "sync"
      case .made, .opened, .read, .locked, .changed: "open"
      }
    self = .system(action: action, path: error.path, code: error.code)
  }
}
