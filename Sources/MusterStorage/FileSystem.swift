import Dispatch
import Glibc

/// Runs file work that blocks away from the cooperative threads.
package func offloading<T: Sendable, E: Error>(_ work: @escaping @Sendable () throws(E) -> T) async throws(E) -> T {
  let result: Result<T, E> = await withCheckedContinuation { continuation in
    blockingQueue.async { continuation.resume(returning: Result(catching: work)) }
  }
  return try result.get()
}

private let blockingQueue = DispatchQueue(label: "muster.storage", attributes: .concurrent)

/// Makes a folder for this user only, with its parents.
func makeFolder(_ path: String) throws(StorageError) {
  var made = path.hasPrefix("/") ? "/" : ""
  for part in path.split(separator: "/") {
    made += made.isEmpty || made == "/" ? part : "/\(part)"
    if mkdir(made, 0o700) != 0, errno != EEXIST { throw StorageError(errno, "the folder \(made) cannot be made") }
  }
  var status = stat()
  guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { throw .io("\(path) is not a folder") }
}

/// Makes the names in a folder durable.
func synchronizeFolder(_ path: String) throws(StorageError) {
  let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  guard descriptor >= 0 else { throw StorageError(errno, "\(path) cannot be opened") }
  defer { close(descriptor) }
  guard fsync(descriptor) == 0 else { throw StorageError(errno, "\(path) cannot be made durable") }
}

/// Writes all bytes at the end of what was written, whatever the system takes at once.
func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, _ path: String) throws(StorageError) {
  var done = 0
  while done < bytes.count {
    let count = write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
    if count < 0 {
      if errno == EINTR { continue }
      throw StorageError(errno, "\(path) cannot be written")
    }
    done += count
  }
}

func writeAll(_ descriptor: Int32, _ bytes: [UInt8], _ path: String) throws(StorageError) {
  try bytes.withBytes { (bytes) throws(StorageError) in try writeAll(descriptor, bytes, path) }
}

extension [UInt8] {
  /// `withUnsafeBytes` with a typed error.
  func withBytes<T, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> T) throws(E) -> T {
    try withUnsafeBytes { bytes in Result { () throws(E) in try body(bytes) } }.get()
  }
}

/// The names in a folder, sorted, without `.` and `..`; nothing when there is no such folder.
func names(in folder: String) -> [String] {
  guard let directory = opendir(folder) else { return [] }
  defer { closedir(directory) }
  var names: [String] = []
  while let entry = readdir(directory) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
      pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name != ".", name != ".." { names.append(name) }
  }
  return names.sorted()
}
