internal import FoundationEssentials

/// The payload of a topic: one line of JSON whose first member is `kind`.
package protocol Message: Codable, Hashable, Sendable {
  static var kind: String { get }
}

/// The reason why a payload cannot be decoded. Readers of topics log it and drop the payload.
package enum MessageError: Error, Hashable, CustomStringConvertible {
  case tooLarge(bytes: Int)
  case malformed(String)
  case wrongKind(expected: String, got: String)
  case newerProtocol(Int)

  package var description: String {
    switch self {
    case .tooLarge(let bytes): "the payload has \(bytes) bytes, but at most \(MessageCoder.maximumBytes) are allowed"
    case .malformed(let why): "the payload is not understood: \(why)"
    case .wrongKind(let expected, let got): "the payload is of kind \"\(got.shown(40))\", but must be of kind \"\(expected)\""
    case .newerProtocol(let version):
      "the payload uses protocol version \(version), but this program supports version \(Topic.version): update this program"
    }
  }
}

/// Encodes and decodes all messages: `{"kind":"…",` followed by the body, with sorted keys and unescaped slashes.
package enum MessageCoder {
  /// Size limit of an encoded message.
  package static let maximumBytes = 4096

  package static func encode<M: Message>(_ message: M) throws(MessageError) -> [UInt8] {
    let body: [UInt8]
    do {
      body = Array(try JSON.encoder().encode(message))
    } catch {
      throw .malformed("\(error)")
    }
    let separator = body.count > 2 ? "," : ""
    let bytes = Array("{\"kind\":\"\(M.kind)\"\(separator)".utf8) + body.dropFirst()
    guard bytes.count <= maximumBytes else { throw .tooLarge(bytes: bytes.count) }
    return bytes
  }

  package static func decode<M: Message>(_: M.Type, from bytes: some Collection<UInt8>) throws(MessageError) -> M {
    guard bytes.count <= maximumBytes else { throw .tooLarge(bytes: bytes.count) }
    let data = Data(bytes)
    do {
      let envelope = try JSONDecoder().decode(Envelope.self, from: data)
      if let version = envelope.protocol, version > Topic.version { throw MessageError.newerProtocol(version) }
      guard envelope.kind == M.kind else { throw MessageError.wrongKind(expected: M.kind, got: envelope.kind) }
      let message = try JSONDecoder().decode(M.self, from: data)
      try (message as? any RangeChecked)?.checkRanges()
      return message
    } catch let error as MessageError {
      throw error
    } catch {
      throw .malformed(JSON.explain(error, in: data))
    }
  }

  private struct Envelope: Decodable {
    var kind: String
    var `protocol`: Int?
  }
}
