import Glibc
package import Logging
import MusterGround
package import MusterSchema

/// A server's state folder: its store and its blobs.
///
///     muster.sqlite   the store
///     blobs/ab/…      immutable files, named by their SHA-256
///     packs/          small blobs, several in a file
///     staging/        files that are not blobs yet
///     uploads/        partial uploads, until their senders continue
///     secret          the key from which tickets are derived
///     lock            keeps a second process out
///
/// Opening it makes the process ignore SIGXFSZ, so that reaching a file size limit is an error and does not end the process.
package final class StateFolder: Sendable {
  package let folder: String
  package let store: any Store
  /// 32 random bytes, made once. Never logged.
  package let secretKey: [UInt8]
  package let blobs: any Blobs
  package let partials: PartialUploads
  private let lock: FileLock

  /// Opens the folder, or makes it (mode 0700). Blocks.
  ///
  /// - Parameter wallClock: gives the time of day that is stored with the rows of the store.
  package init(
    folder: String, partials limits: PartialUploadLimits = PartialUploadLimits(),
    wallClock: @escaping @Sendable () -> WallTime = { WallTime.now }, logger: Logger = Logger(label: "muster.storage")
  ) throws(StorageError) {
    signal(SIGXFSZ, SIG_IGN)
    try makeFolder(folder)
    self.folder = folder
    lock = try FileLock.take(folder: folder)
    secretKey = try SecretKey.load(folder: folder)
    blobs = try BlobFolder(folder: folder, logger: logger)
    partials = try PartialUploads(folder: folder, blobs: blobs, limits: limits, logger: logger)
    store = try SQLiteStore("\(folder)/muster.sqlite", wallClock: wallClock)
    try synchronizeFolder(folder)
    logger.debug("the state folder is open", metadata: ["storage.folder": "\(folder)", "storage.empty": "\(store.wasCreatedEmpty)"])
  }
}
