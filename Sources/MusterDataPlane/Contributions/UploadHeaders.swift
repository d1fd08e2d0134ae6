import HTTPTypes
import Hummingbird
import MusterSchema
import MusterServer
import MusterStorage

extension UploadFields {
  init(_ request: Request) throws(Problem) {
    let headers = request.headers
    try self.init(
      isPut: request.method == .put, query: request.uri.query, complete: headers[.uploadComplete], offset: headers[.uploadOffset],
      length: headers[.uploadLength], reprDigest: headers[.reprDigest], contentDigest: headers[.contentDigest])
  }
}

/// The problem types of the draft.
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

  /// The problem of a body that does not begin at the upload's offset. The correct offset is in `Upload-Offset`.
  static func mismatch(expected: Int, provided: Int) throws -> Response {
    var response = try jsonResponse(
      Mismatch(detail: "the upload must continue at offset \(expected)", expected: expected, provided: provided), status: .conflict,
      headers: [.uploadOffset: "\(expected)", .uploadComplete: "?0"])
    response.headers[.contentType] = Problem.contentType
    return response
  }
}

extension PartialUploads.Status {
  /// The header fields of answers about an upload.
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
  /// The upload's address, relative to the contribution's, because a proxy may add a prefix to the path.
  var location: String { "?digest=\(digest)" }
}
