internal import Glibc
internal import MusterGround

/// Writes a safetensors file piece by piece: the header first, then the data of its tensors in the header's order. The file appears under
/// its name, whole and on the disk, with `finish(durable:)`; until then, and when the writer is dropped, there is none.
public final class SafetensorsWriter {
  public let path: String
  public let header: SafetensorsHeader
  /// Bytes of data written so far.
  public private(set) var written = 0
  private let temporary: String
  private var descriptor: Int32

  /// Begins a file in the layout of `SafetensorsHeader.init(tensors:metadata:)`: look at `header.tensors` for the order of the data.
  public convenience init(
    path: String, tensors: [TensorDescription], metadata: [String: String] = [:]
  ) throws(SafetensorsError) {
    try self.init(path: path, header: SafetensorsHeader(tensors: tensors, metadata: metadata))
  }

  /// Begins a file with this header, made by `SafetensorsHeader.init(tensors:metadata:)` or `replacing(metadata:)`.
  public init(path: String, header: SafetensorsHeader) throws(SafetensorsError) {
    let encoded = header.encoded()
    // A header that was read may be spelled otherwise than we spell it: its offset is then another.
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

  /// Appends data, in slices of any length.
  ///
  /// - Throws: `wrongDataLength` for more than the header promises, or what the system says.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(SafetensorsError) {
    guard bytes.count <= header.dataByteCount - written else {
      throw .wrongDataLength(tensor: nil, expected: header.dataByteCount, found: written + bytes.count)
    }
    try put(bytes)
    written += bytes.count
  }

  public func write(_ bytes: [UInt8]) throws(SafetensorsError) {
    try bytes.withRawBytes { (raw) throws(SafetensorsError) in try write(raw) }
  }

  /// Writes data at its place, `offset` bytes into the data section, as several threads at once may do for different places.
  ///
  /// `finish(durable:)` asks for every byte to be written once: say with `filled()` that this is so.
  package var places: SafetensorsPlaces {
    SafetensorsPlaces(
      descriptor: descriptor, temporary: temporary, dataOffset: header.dataOffset, dataByteCount: header.dataByteCount)
  }

  /// All data was written at its place.
  package func filled() { written = header.dataByteCount }

  /// Puts the file on the disk and under its name, in place of what was there.
  ///
  /// - Parameter durable: false does not wait for the disk: for a file that is made durable later, by whoever takes it over, or that may
  ///   be lost with the power.
  /// - Throws: `wrongDataLength` when data is missing, or what the system says; then what was there stays.
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

/// Where a writer's data goes, for threads that share the work. Valid as long as the writer.
package struct SafetensorsPlaces: Sendable {
  let descriptor: Int32
  let temporary: String
  let dataOffset: Int
  let dataByteCount: Int

  /// - Throws: `wrongDataLength` for a place outside the data section, or what the system says.
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
  /// What a file of these tensors begins with: length and header.
  public static func headerBytes(
    tensors: [TensorDescription], metadata: [String: String] = [:]
  ) throws(SafetensorsError) -> [UInt8] {
    try SafetensorsHeader(tensors: tensors, metadata: metadata).encoded()
  }

  /// Writes a whole file at once, in place of what was there. The same tensors and metadata, in any order, give the same bytes.
  public static func write(_ tensors: [Tensor], metadata: [String: String] = [:], to path: String) throws(SafetensorsError) {
    let writer = try SafetensorsWriter(path: path, tensors: tensors.map(\.description), metadata: metadata)
    let byName = Dictionary(tensors.map { ($0.name, $0) }) { first, _ in first }
    for info in writer.header.tensors {
      guard let tensor = byName[info.name] else { throw .noSuchTensor(info.name) }
      try writer.write(tensor.data)
    }
    try writer.finish()
  }

  /// The bytes of a whole file in memory.
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

  /// Writes the file's tensors behind other metadata. The data is copied as it lies, never held in memory at once.
  ///
  /// - Parameter path: may be the file's own.
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
