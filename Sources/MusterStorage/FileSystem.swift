import Dispatch
import Glibc
import Synchronization

/// Runs work that blocks without waiting for it.
func onLane(_ work: @escaping @Sendable () -> Void) { Lanes.shared.run(work) }

/// Runs work that blocks, on the disk or on a long computation, away from the cooperative threads.
///
/// At most sixteen pieces of it run at once; the rest waits in line.
package func offloading<T: Sendable, E: Error>(_ work: @escaping @Sendable () throws(E) -> T) async throws(E) -> T {
  let result: Result<T, E> = await withCheckedContinuation { continuation in
    Lanes.shared.run { continuation.resume(returning: Result(catching: work)) }
  }
  return try result.get()
}

/// A few serial queues, the least busy of which gets the next piece of work.
///
/// Not a concurrent queue: on Linux that shares its threads, as many as cores, with the cooperative pool. Work that blocks there holds up
/// every task of the process until Dispatch notices, a second later. A serial queue gets a thread of its own.
private final class Lanes: Sendable {
  static let shared = Lanes()
  private let queues = (0..<16).map { DispatchQueue(label: "muster.blocking.\($0)") }
  private let pending = Mutex([Int](repeating: 0, count: 16))

  func run(_ work: @escaping @Sendable () -> Void) {
    let lane = pending.withLock { pending in
      let lane = pending.indices.min { pending[$0] < pending[$1] } ?? 0
      pending[lane] += 1
      return lane
    }
    queues[lane].async {
      work()
      self.pending.withLock { $0[lane] -= 1 }
    }
  }
}

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
