/// The trainers that may do a task: `built-in`, or any of several, `{any: [onnx, pytorch>=2.1]}`.
///
/// A device uses the first that it has and that fits the model.
package struct TrainerSelection: Codable, Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
  /// One trainer by its name in the devices' configurations, with an optional minimum version.
  package struct Alternative: Hashable, Sendable, CustomStringConvertible {
    package var name: String
    /// Minimum version, numbers separated by dots: `2.1`.
    package var least: String?

    /// Reads `pytorch` or `pytorch>=2.1`.
    package init(_ text: String) {
      // Searches bytes, not characters: a combining mark would join the sign or a space into another character and hide it.
      let bytes = Array(text.utf8)
      let sign = bytes.indices.first { bytes[$0...].starts(with: Array(">=".utf8)) }
      func part(_ bytes: ArraySlice<UInt8>) -> String {
        let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
        let end = bytes.lastIndex { !isBlank($0) }.map { $0 + 1 } ?? bytes.startIndex
        return String(decoding: bytes[..<end].drop(while: isBlank), as: UTF8.self)
      }
      name = part(bytes[..<(sign ?? bytes.endIndex)])
      least = sign.map { part(bytes[($0 + 2)...]) }
    }

    package var description: String { least.map { "\(name)>=\($0)" } ?? name }

    /// Whether the version is at least the minimum. Compares number by number; missing numbers are 0, and any other part ends the version.
    package func admits(_ version: String) -> Bool {
      guard let least else { return true }
      let (have, need) = (Self.numbers(version), Self.numbers(least))
      for index in 0..<max(have.count, need.count) {
        let (own, wanted) = (index < have.count ? have[index] : 0, index < need.count ? need[index] : 0)
        if own != wanted { return own > wanted }
      }
      return true
    }

    /// The numbers of a version: `2.10.1+cpu` is 2, 10, 1. Anything before the first number is skipped.
    static func numbers(_ version: String) -> [Int] {
      let rest = version.drop { !$0.isNumber }
      var numbers: [Int] = []
      for part in rest.split(separator: ".", omittingEmptySubsequences: false) {
        let digits = part.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int(digits) else { break }
        numbers.append(number)
        if digits.count != part.count { break }
      }
      return numbers
    }
  }

  package var any: [Alternative]

  package init(any names: [String]) { any = names.map { Alternative($0) } }
  package init(_ name: String) { self.init(any: [name]) }
  package init(stringLiteral name: String) { self.init(name) }

  private enum CodingKeys: String, CodingKey, CaseIterable { case any }

  package init(from decoder: any Decoder) throws {
    if let name = decoder.word {
      self.init(name)
    } else {
      self.init(any: try StrictContainer<CodingKeys>(decoder).value(.any))
    }
  }

  package func encode(to encoder: any Encoder) throws {
    if any.count == 1 {
      var container = encoder.singleValueContainer()
      try container.encode(any[0].description)
    } else {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(any.map(\.description), forKey: .any)
    }
  }

  /// The same trainers with any version. Central needs one of them too, but versions are required only of devices.
  package var unversioned: TrainerSelection { TrainerSelection(any: names) }

  package var names: [String] { any.map(\.name) }
  package var description: String { any.map(\.description).joined(separator: " or ") }

  /// The reason why the selection is refused; `nil` if it is accepted.
  var problem: String? {
    guard (1...8).contains(any.count) else { return any.isEmpty ? "must name a trainer" : "names more than 8 trainers" }
    for alternative in any {
      guard (1...63).contains(alternative.name.utf8.count), alternative.name.withoutControlCharacters == alternative.name else {
        return "a trainer's name must be 1 to 63 bytes long, without control characters"
      }
      if let least = alternative.least, Alternative.numbers(least).isEmpty || least.utf8.count > 63 {
        return "\(alternative.name)>= needs a version like 2.1"
      }
    }
    guard Set(any.map(\.name)).count == any.count else { return "names a trainer twice" }
    return nil
  }
}
