import GRDB
import Glibc
package import Logging
package import MusterSchema

/// A server's state folder: the journal of its machines in SQLite, and the blobs beside it.
///
///     muster.sqlite   the journal (WAL, synchronous FULL)
///     blobs/ab/…      immutable files, named by their SHA-256
///     staging/        files that are not blobs yet
///     uploads/        half uploads, until their senders continue
///     secret          what tickets derive from
///     lock            one process at a time
///
/// It ignores SIGXFSZ in the whole process: a file size limit shall be an error, not the end.
package final class Store: Sendable {
  package let folder: String
  /// Whether nothing was ever committed here before this start.
  package let wasCreatedEmpty: Bool
  /// 32 random bytes, made once. Never logged.
  package let secretKey: [UInt8]
  package let blobs: BlobFolder
  package let partials: PartialUploads
  let database: DatabasePool
  let wallClock: @Sendable () -> WallTime
  private let lock: FolderLock

  /// Opens the folder, or makes it (0700). Blocks.
  ///
  /// - Parameter wallClock: what the rows of the journal are stamped with.
  package init(
    folder: String, partials limits: PartialUploadLimits = PartialUploadLimits(),
    wallClock: @escaping @Sendable () -> WallTime = { WallTime.now }, logger: Logger = Logger(label: "muster.storage")
  ) throws(StorageError) {
    signal(SIGXFSZ, SIG_IGN)
    try makeFolder(folder)
    self.folder = folder
    self.wallClock = wallClock
    lock = try FolderLock(folder: folder)
    secretKey = try SecretKey.load(folder: folder)
    blobs = try BlobFolder(folder: folder)
    partials = try PartialUploads(folder: folder, blobs: blobs, limits: limits, logger: logger)
    let path = "\(folder)/muster.sqlite"
    do {
      database = try Self.open(path)
      wasCreatedEmpty = try database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM machine") == 0 }
      try synchronizeFolder(folder)
    } catch {
      throw StorageError(error, path)
    }
    logger.debug("the state folder is open", metadata: ["storage.folder": "\(folder)", "storage.empty": "\(wasCreatedEmpty)"])
  }

  private static func open(_ path: String) throws -> DatabasePool {
    var configuration = Configuration()
    configuration.label = "muster"
    configuration.foreignKeysEnabled = true
    configuration.busyMode = .timeout(2)
    configuration.maximumReaderCount = 2
    // Nobody else may read it: it lies in a folder for this user only, and is made so itself.
    let mask = umask(0o077)
    defer { umask(mask) }
    let pool = try DatabasePool(path: path, configuration: configuration)
    let migrator = Self.migrator
    if try pool.read(migrator.hasBeenSuperseded) {
      throw StorageError.newer("\(path) was written by a newer version of Muster: start that version, or set another state folder")
    }
    // GRDB sets NORMAL when it opens a pool, which would lose commits with the power.
    try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
    try migrator.migrate(pool)
    return pool
  }

  private static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1 journal") { database in
      try database.execute(
        sql: """
          CREATE TABLE machine (
            name TEXT PRIMARY KEY NOT NULL,
            -- The machine's own time of its last commit, milliseconds.
            instant INTEGER NOT NULL
          ) STRICT, WITHOUT ROWID;
          CREATE TABLE journal (
            -- AUTOINCREMENT: the order of appending holds, removed positions do not come back.
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            machine TEXT NOT NULL REFERENCES machine (name),
            task TEXT,
            kind TEXT NOT NULL,
            instant INTEGER NOT NULL,
            body BLOB NOT NULL
          ) STRICT;
          CREATE INDEX journal_by_task ON journal (machine, task, kind);
          """)
    }
    migrator.registerMigration("2 wall clock") { database in
      // When the row was committed by the clock on the wall, milliseconds since 1970 in UTC; NULL for rows of version 0.1.0. For people
      // only: the protocol knows no time of day.
      try database.execute(sql: "ALTER TABLE journal ADD COLUMN committed INTEGER")
    }
    migrator.registerMigration("3 presence") { database in
      try database.execute(
        sql: """
          -- When each node was first heard to be online, and offline, in its latest session: by the clock on the wall, for people only.
          CREATE TABLE presence (
            node TEXT NOT NULL,
            online INTEGER NOT NULL,
            session TEXT NOT NULL,
            since INTEGER NOT NULL,
            PRIMARY KEY (node, online)
          ) STRICT, WITHOUT ROWID
          """)
    }
    return migrator
  }
}

extension StorageError {
  /// From whatever GRDB or the file work of opening threw.
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
    case .SQLITE_BUSY, .SQLITE_LOCKED: self = .busy("\(text): another program has it open; close that one")
    case .SQLITE_CORRUPT, .SQLITE_NOTADB:
      self = .corrupt("\(text); restore the state folder from a backup, or move it away to start anew")
    case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN:
      self = .io("\(text): check who owns the state folder and whether it is writable")
    default: self = .io(text)
    }
  }
}
