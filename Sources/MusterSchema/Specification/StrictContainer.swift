/// Decodes fields with defaults from JSON that people write. An unknown field is an error that lists the known ones.
struct StrictContainer<Key: CodingKey & CaseIterable> {
  private let container: KeyedDecodingContainer<Key>

  /// Unknown fields are ignored in messages between programs, and refused in files that people write.
  init(_ decoder: any Decoder) throws {
    container = try decoder.container(keyedBy: Key.self)
    guard decoder.userInfo[.strictFields] != nil else { return }
    let known = Set(Key.allCases.map(\.stringValue))
    for key in try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue).sorted() where !known.contains(key) {
      throw DecodingError.dataCorrupted(
        .init(
          codingPath: decoder.codingPath + [AnyKey(key)],
          debugDescription: "unknown field; known fields here: \(known.sorted().joined(separator: ", "))"))
    }
  }

  func value<T: Decodable>(_ key: Key, else fallback: T) throws -> T { try optional(key) ?? fallback }
  func value<T: Decodable>(_ key: Key) throws -> T { try naming(key, T.self) { try container.decode(T.self, forKey: key) } }
  func optional<T: Decodable>(_ key: Key) throws -> T? { try naming(key, T.self) { try container.decodeIfPresent(T.self, forKey: key) } }

  /// Adds the field to an error about a number that does not fit its type, for which Foundation gives no path ("not valid JSON").
  private func naming<Value, T>(_ key: Key, _: T.Type, _ body: () throws -> Value) throws -> Value {
    do {
      return try body()
    } catch  where !(error is DecodingError) {
      throw DecodingError.typeMismatch(T.self, .init(codingPath: container.codingPath + [key], debugDescription: "\(error)"))
    }
  }
}

extension CodingUserInfoKey {
  static var strictFields: CodingUserInfoKey { CodingUserInfoKey(rawValue: "muster.strict").unsafelyUnwrapped }
}

struct AnyKey: CodingKey {
  var stringValue: String
  var intValue: Int? { nil }

  init(_ stringValue: String) { self.stringValue = stringValue }
  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

extension Decoder {
  /// The string, where a string or an object may be given. `nil` for anything else, whose errors the decoder of the object then reports.
  var word: String? { try? singleValueContainer().decode(String.self) }
}
