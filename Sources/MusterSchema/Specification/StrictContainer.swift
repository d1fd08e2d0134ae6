/// Decodes what a person wrote: fields have defaults, and a field that does not exist is an error that names it and its nearest neighbours.
struct StrictContainer<Key: CodingKey & CaseIterable> {
  private let container: KeyedDecodingContainer<Key>

  /// Messages between programs pass unknown fields; files that people write do not.
  init(_ decoder: any Decoder) throws {
    container = try decoder.container(keyedBy: Key.self)
    guard decoder.userInfo[.strictFields] != nil else { return }
    let known = Set(Key.allCases.map(\.stringValue))
    for key in try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue).sorted() where !known.contains(key) {
      throw DecodingError.dataCorrupted(
        .init(
          codingPath: decoder.codingPath + [AnyKey(key)],
          debugDescription: "there is no such field; known here: \(known.sorted().joined(separator: ", "))"))
    }
  }

  func value<T: Decodable>(_ key: Key, else fallback: T) throws -> T { try optional(key) ?? fallback }
  func value<T: Decodable>(_ key: Key) throws -> T { try naming(key, T.self) { try container.decode(T.self, forKey: key) } }
  func optional<T: Decodable>(_ key: Key) throws -> T? { try naming(key, T.self) { try container.decodeIfPresent(T.self, forKey: key) } }

  /// Foundation does not say where a number stands that does not fit its field: 2.5 rounds are "not valid JSON" to it.
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
  /// The word that stands here, where a word or an object may. Nil for all else, which is then read as the object: that says what is wrong
  /// with it.
  var word: String? { try? singleValueContainer().decode(String.self) }
}
