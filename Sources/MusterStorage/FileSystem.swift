import Glibc
import MusterGround

// The file functions of MusterGround, with the errors of this module.

extension StorageError {
  init(_ error: FileError) { self.init(error.code, "\(error.path) cannot be \(error.action.rawValue)") }
}

/// Makes a folder that only this user can access, with its parents.
func makeFolder(_ path: String) throws(StorageError) {
  do throws(FileError) {
    try Files.makeFolder(path)
  } catch {
    throw error.code == ENOTDIR ? .io("\(error.path) is not a folder") : StorageError(error)
  }
}

/// Makes a folder's list of names durable.
func synchronizeFolder(_ path: String) throws(StorageError) {
  do throws(FileError) { try Files.makeDurable(path) } catch { throw StorageError(error) }
}

/// Writes all bytes at the file's current position. Repeats the call when the system writes only a part.
func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, _ path: String) throws(StorageError) {
  do throws(FileError) { try Files.write(bytes, to: descriptor, path) } catch { throw StorageError(error) }
}

func writeAll(_ descriptor: Int32, _ bytes: [UInt8], _ path: String) throws(StorageError) {
  do throws(FileError) { try Files.write(bytes, to: descriptor, path) } catch { throw StorageError(error) }
}

/// Writes all bytes from an offset on.
func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int, _ path: String) throws(StorageError) {
  do throws(FileError) { try Files.write(bytes, to: descriptor, at: offset, path) } catch { throw StorageError(error) }
}

extension [UInt8] {
  /// Does the same as `withUnsafeBytes`, with a typed error.
  func withBytes<T, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> T) throws(E) -> T {
    try withUnsafeBytes { bytes in Result { () throws(E) in try body(bytes) } }.get()
  }
}
