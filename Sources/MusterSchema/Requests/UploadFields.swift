/// The header fields of a request that describe its upload, from draft-ietf-httpbis-resumable-upload-12 and RFC 9530.
package struct UploadFields: Hashable, Sendable {
  /// `Upload-Complete`: whether the upload ends with this request; `nil` for an upload that is not resumable.
  package var complete: Bool?
  /// `Upload-Offset`: the position of this request's body in the upload.
  package var offset: Int?
  /// `Upload-Length`: size of the whole upload in bytes.
  package var length: Int?
  /// Digest of the whole upload: `?digest=…` of its address, else `Repr-Digest`, else `Content-Digest` of a request with the whole body.
  package var digest: Digest?

  /// Reads the raw fields; `nil` stands for a field that is absent.
  ///
  /// - Parameters:
  ///   - isPut: whether the method is `PUT`. A `PUT` can hold the whole upload, and then its `Content-Digest` is that of the upload.
  ///   - query: the part of the address after `?`.
  /// - Throws: 400 with the wrong field.
  package init(
    isPut: Bool, query: String?, complete: String?, offset: String?, length: String?, reprDigest: String?, contentDigest: String?
  ) throws(Problem) {
    self.complete = try Self.boolean(complete, "Upload-Complete")
    self.offset = try Self.integer(offset, "Upload-Offset")
    self.length = try Self.integer(length, "Upload-Length")
    let named = try Self.digest(ofQuery: query)
    let represented = try Self.digest(reprDigest, "Repr-Digest")
    let content = isPut && self.complete != false ? try Self.digest(contentDigest, "Content-Digest") : nil
    let digests = [named, represented, content].compactMap(\.self)
    digest = digests.first
    guard Set(digests).count <= 1 else { throw wrong("the digests in the address, Repr-Digest and Content-Digest differ") }
  }

  /// The SHA-256 in a digest field; `nil` if the field is absent.
  ///
  /// - Throws: 400 if the field is invalid.
  package static func digest(_ field: String?, _ name: String) throws(Problem) -> Digest? {
    guard let field else { return nil }
    guard let digest = Digest(contentDigest: field) else {
      throw wrong("\(name) must be sha-256=:…: with 32 bytes in base64 (RFC 9530)")
    }
    return digest
  }

  /// A boolean of a structured field (RFC 9651): `?0` or `?1`.
  private static func boolean(_ text: String?, _ name: String) throws(Problem) -> Bool? {
    switch text {
    case nil: return nil
    case "?1": return true
    case "?0": return false
    default: throw wrong("\(name) must be ?0 or ?1")
    }
  }

  private static func integer(_ text: String?, _ name: String) throws(Problem) -> Int? {
    guard let text else { return nil }
    // Integers of structured fields have at most 15 digits, which is less than this bound.
    guard text.utf8.count <= 15, let number = Bounds.bytes.read(text) else {
      throw wrong("\(name) must be a whole number of at most 15 digits")
    }
    return number
  }

  private static func digest(ofQuery query: String?) throws(Problem) -> Digest? {
    let members = (query ?? "").split(separator: "&").filter { $0.hasPrefix("digest=") }
    guard let member = members.first else { return nil }
    guard members.count == 1, let digest = Digest(member.dropFirst(7).replacing("%3A", with: ":").replacing("%3a", with: ":")) else {
      throw wrong("?digest= must be sha256: followed by 64 lowercase hexadecimal digits")
    }
    return digest
  }
}

extension Ticket {
  /// The ticket of `Authorization: Bearer …`; `nil` for every other scheme.
  package init?(authorization field: String?) {
    guard let field, field.utf8.count > 7, field.prefix(7).lowercased() == "bearer " else { return nil }
    self.init(String(field.dropFirst(7)))
  }
}

private func wrong(_ detail: String) -> Problem { Problem(.badRequest, detail) }
