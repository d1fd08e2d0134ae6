import HTTPTypes
import Hummingbird
import MusterSchema
import MusterStorage

/// What a request says of the upload that it belongs to: the header fields of draft-ietf-httpbis-resumable-upload-12 and RFC 9530.
struct UploadHeaders: Sendable {
  /// `Upload-Complete`: whether the upload ends with this request. Nil: it is not resumable.
  var complete: Bool?
  /// `Upload-Offset`: where this request's body begins.
  var offset: Int?
  /// `Upload-Length`: bytes of the whole.
  var length: Int?
  /// Of the whole: `?digest=…` of the upload's own address, else `Repr-Digest`, else the `Content-Digest` of a request that holds all of it.
  var digest: Digest?

  init(_ request: Request) throws(Problem) {
    complete = try Self.boolean(request, .uploadComplete)
    offset = try Self.integer(request, .uploadOffset)
    length = try Self.integer(request, .uploadLength)
    let named = try request.digestOfQuery()
    let represented = try request.declaredDigest(.reprDigest)
    let content = request.method == .put && complete != false ? try request.declaredDigest() : nil
    let digests = [named, represented, content].compactMap(\.self)
    digest = digests.first
    guard Set(digests).count <= 1 else { throw .badRequest("the digests in address, Repr-Digest and Content-Digest differ") }
  }

  private static func boolean(_ request: Request, _ name: HTTPField.Name) throws(Problem) -> Bool? {
    switch request.headers[name] {
    case nil: return nil
    case "?1": return true
    case "?0": return false
    default: throw .badRequest("\(name) must be ?0 or ?1")
    }
  }

  private static func integer(_ request: Request, _ name: HTTPField.Name) throws(Problem) -> Int? {
    guard let text = request.headers[name] else { return nil }
    // Structured fields have integers of fifteen digits.
    guard (1...15).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text) else {
      throw .badRequest("\(name) must be a whole number from 0")
    }
    return number
  }
}

extension Request {
  fileprivate func digestOfQuery() throws(Problem) -> Digest? {
    let members = (uri.query ?? "").split(separator: "&").filter { $0.hasPrefix("digest=") }
    guard let member = members.first else { return nil }
    guard members.count == 1, let digest = Digest(member.dropFirst(7).replacing("%3A", with: ":").replacing("%3a", with: ":")) else {
      throw .badRequest("?digest= must be sha256: and 64 hexadecimal digits")
    }
    return digest
  }
}

extension HTTPField.Name {
  static let uploadComplete = known("Upload-Complete")
  static let uploadOffset = known("Upload-Offset")
  static let uploadLength = known("Upload-Length")
  static let uploadLimit = known("Upload-Limit")
  static let acceptPatch = known("Accept-Patch")
  static let reprDigest = known("Repr-Digest")
  static let contentDigest = known("Content-Digest")

  private static func known(_ name: String) -> HTTPField.Name {
    guard let name = HTTPField.Name(name) else { preconditionFailure("\(name) is a valid field name") }
    return name
  }
}

/// The types of the draft's problems.
enum UploadProblem {
  private static let registry = "https://iana.org/assignments/http-problem-types#"

  private struct Mismatch: Encodable {
    var type = "\(registry)mismatching-upload-offset"
    var title = "Mismatching upload offset"
    var status = 409
    var detail: String
    var expected: Int
    var provided: Int

    enum CodingKeys: String, CodingKey {
      case type, title, status, detail
      case expected = "expected-offset"
      case provided = "provided-offset"
    }
  }

  /// The body does not begin where the upload stands. Says where that is: `Upload-Offset`.
  static func mismatch(expected: Int, provided: Int) throws -> Response {
    var response = try jsonResponse(
      Mismatch(detail: "the upload goes on at \(expected)", expected: expected, provided: provided), status: .conflict,
      headers: [.uploadOffset: "\(expected)", .uploadComplete: "?0"])
    response.headers[.contentType] = Problem.contentType
    return response
  }
}

extension PartialUploads.Standing {
  /// What a request about an upload is told.
  func headers(maximumBytes: Int, limits: PartialUploadLimits) -> HTTPFields {
    var headers: HTTPFields = [
      .uploadOffset: "\(offset)", .uploadComplete: "?0", .uploadLimit: "max-size=\(maximumBytes), max-age=\(limits.ageSeconds)",
      .reprDigest: identity.digest.contentDigest, .cacheControl: "no-store", .location: identity.location,
    ]
    if let length = identity.length { headers[.uploadLength] = "\(length)" }
    return headers
  }
}

extension PartialUploads.Identity {
  /// The upload's own address, relative to the contribution's: a proxy may have put something in front of the path.
  var location: String { "?digest=\(digest)" }
}
