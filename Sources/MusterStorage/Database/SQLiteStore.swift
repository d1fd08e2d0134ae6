import GRDB
import Glibc
import MusterSchema

/// The store of a server that needs no database program: one SQLite file in the state folder (WAL, synchronous FULL).
package final class SQLiteStore: Store {
  package let wasCreatedEmpty: Bool
  let pool: DatabasePool
  let path: String
  let wallClock: @Sendable () -> WallTime

  /// Opens the database file, or makes it. Blocks.
  ///
  /// - Parameter wallClock: gives the time of day that is stored with the rows.
  init(_ path: String, wallClock: @escaping @Sendable () -> WallTime) throws(StorageError) {
    self.path = path
    self.wallClock = wallClock
    do {
      pool = try Self.open(path)
      wasCreatedEmpty = try pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM machine") == 0 }
    } catch {
      throw StorageError(error, path)
    }
  }

  private static func open(_ path: String) throws -> DatabasePool {
    var configuration = Configuration()
    configuration.label = "muster"
    configuration.foreignKeysEnabled = true
    configuration.busyMode = .timeout(2)
    configuration.maximumReaderCount = 4
    // Only this user may read the database: its folder has mode 0700, and the file gets 0600.
    let mask = umask(0o077)
    defer { umask(mask) }
    let pool = try DatabasePool(path: path, configuration: configuration)
    let migrator = Self.migrator
    if try pool.read(migrator.hasBeenSuperseded) {
      throw StorageError.newer("\(path) was written by a newer version of Muster; start that version, or use another state folder")
    }
    // GRDB sets NORMAL when it opens a pool, and with NORMAL a loss of power would lose commits.
    try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
    try migrator.migrate(pool)
    return pool
  }

  /// Reads from one snapshot of the database.
  func read<T: Sendable>(_ what: String, _ body: @escaping @Sendable (Database) throws -> T) async throws(StorageError) -> T {
    let result: Result<T, StorageError> = await withCheckedContinuation { continuation in
      // GRDB runs this on threads of its own, so a reader that has to wait does not hold up the pool that writes files.
      pool.asyncRead { database in
        do {
          continuation.resume(returning: .success(try body(try database.get())))
        } catch {
          continuation.resume(returning: .failure(StorageError(error, what)))
        }
      }
    }
    return try result.get()
  }

  /// Makes changes in one transaction.
  func write(_ changes: @escaping @Sendable (Database) throws -> Void) async throws(StorageError) {
    let path = path
    let result: Result<Void, StorageError> = await withCheckedContinuation { continuation in
      pool.asyncWriteWithoutTransaction { database in
        errno = 0
        do {
          try database.inTransaction(.immediate) {
            try changes(database)
            return .commit
          }
          continuation.resume(returning: .success(()))
        } catch {
          // SQLite reports only ENOSPC as a full disk. Quotas and file size limits count as one, too; the thread's errno shows them.
          let code = errno
          let isFull = (error as? DatabaseError)?.extendedResultCode == .SQLITE_IOERR_WRITE && [EFBIG, EDQUOT].contains(code)
          continuation.resume(returning: .failure(isFull ? StorageError(code, path) : StorageError(error, path)))
        }
      }
    }
    try result.get()
  }
}

extension StorageError {
  /// Converts any error that GRDB, or opening the file, threw.
  init(_ error: any Error, _ path: String) {
    if let error = error as? StorageError {
      self = error
      return
    }
    guard let error = error as? DatabaseError else {
      self = .io("\(path): \(error)")
      return
    }
    let text = "\(path): \(error.message ?? "SQLite error \(error.extendedResultCode.rawValue)")"
    switch error.resultCode {
    case .SQLITE_FULL: self = .diskFull(text)
    case .SQLITE_IOERR, .SQLITE_NOMEM: self = .exhausted(text)
    case .SQLITE_BUSY, .SQLITE_LOCKED: self = .busy("\(text); close the other program that has it open")
    case .SQLITE_CORRUPT, .SQLITE_NOTADB:
      self = .corrupt("\(text); restore the state folder from a backup, or move it away to start with an empty one")
    case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN:
      self = .io("\(text); check who owns the state folder and whether it is writable")
    default: self = .io(text)
    }
  }
}
