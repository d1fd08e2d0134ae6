import Glibc
import MusterGround

// The ground floor's files, with the errors of this room.

extension StorageError {
  init(_ error: FileError) { self.init(error.code, "\(error.path) cannot be \(error.action.rawValue)") }
}

/// Makes a folder for this user only, with its parents.
func makeFolder(_ path: String) throws(StorageError) {
  do throws(FileError) {
    try Files.makeFolder(path)
  } catch {
    throw error.code == ENOTDIR ? .io("\(error.path) is not a folder") : StorageError(error)
  }
}

/// Makes the names in a folder durable.
func synchronizeFolder(_ path: String) throws(StorageError) {
  do throws(FileError) { try Files.makeDurable(path) } catch { throw StorageError(error) }
}

/// Writes all bytes at the end of what was written, whatever the system takes at once.
func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, _ path: String) throws(StorageError) {
  do throws(FileError) { try Files.write(bytes, to: descriptor, path) } catch { throw StorageError(error) }
}

func writeAll(_ descriptor: Int32, _ bytes: [UInt8], _ path: String) throws(StorageError) {
  do throws(FileError) { try Files.write(bytes, to: descriptor, path) } catch { throw StorageError(error) }
}

extension [UInt8] {
  /// `withUnsafeBytes` with a typed error.
  func withBytes<T, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> T) throws(E) -> T {
    try withUnsafeBytes { bytes in Result { () throws(E) in try body(bytes) } }.get()
  }
}
