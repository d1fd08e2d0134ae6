import Glibc
import MusterGround

/// The 32 random bytes from which a ledger derives its grants. They are made once and readable by this user only.
enum SecretKey {
  static func load(folder: String) throws(StorageError) -> [UInt8] {
    let path = "\(folder)/secret"
    do throws(FileError) {
      let key = try Files.read(path, atMost: 1024)
      if key.count == 32 { return key }
    } catch {
      if error.isMissing { return try make(path) }
      if error.code != EFBIG { throw StorageError(error) }
    }
    throw .corrupt("\(path) must hold 32 bytes; restore it from a backup, or remove it, which makes all tickets in use invalid")
  }

  private static func make(_ path: String) throws(StorageError) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    let key = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
    do throws(FileError) { try Files.replace(path, with: key, durable: true) } catch { throw StorageError(error) }
    return key
  }
}
