import FoundationEssentials
import GRDB
import MusterSchema

// Conversions between values of the schema and columns.

extension Digest {
  var column: Data { Data(bytes) }

  init(column: Data) throws(StorageError) {
    guard let digest = Digest(bytes: column) else { throw .corrupt("a digest in the history has \(column.count) bytes instead of 32") }
    self = digest
  }
}

/// A value as JSON text.
func column(_ value: some Encodable) throws -> String { String(decoding: try JSON.encode(value), as: UTF8.self) }
func column(_ value: (some Encodable)?) throws -> String? { try value.map { try column($0) } }

extension Row {
  func digest(_ name: String) throws -> Digest {
    let data: Data = self[name]
    return try Digest(column: data)
  }

  func optionalDigest(_ name: String) throws -> Digest? {
    let data: Data? = self[name]
    return try data.map { data throws(StorageError) in try Digest(column: data) }
  }

  func decoded<T: Decodable>(_ type: T.Type, _ name: String) throws -> T? {
    let text: String? = self[name]
    return try text.map { text in
      do {
        return try JSON.decode(type, from: Array(text.utf8))
      } catch {
        throw StorageError.corrupt("a value of \(name) in the history cannot be decoded: \(JSON.explain(error, in: Array(text.utf8)))")
      }
    }
  }

  func time(_ name: String) -> WallTime? {
    let milliseconds: Int64? = self[name]
    return milliseconds.map(WallTime.init(milliseconds:))
  }

  /// A value of an enumeration. A value that this version does not know is an error.
  func named<T: RawRepresentable<String>>(_ type: T.Type, _ name: String) throws(StorageError) -> T? {
    let text: String? = self[name]
    guard let text else { return nil }
    guard let value = T(rawValue: text) else { throw .corrupt("the history holds the unknown \(name) \"\(text)\"") }
    return value
  }

  func required<T>(_ value: T?, _ name: String) throws(StorageError) -> T {
    guard let value else { throw .corrupt("a row of the history has no \(name)") }
    return value
  }
}
