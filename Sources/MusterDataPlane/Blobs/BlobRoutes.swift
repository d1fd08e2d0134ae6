import HTTPTypes
package import Hummingbird
import MusterGround
package import MusterSchema
package import MusterServer
package import MusterStorage
import NIOCore

/// The answer of `POST /v1/blobs`.
package struct StoredBlob: Codable, Hashable, Sendable {
  package var digest: Digest
  package var bytes: Int

  package init(digest: Digest, bytes: Int) {
    self.digest = digest
    self.bytes = bytes
  }
}

/// `GET /v1/blobs/{digest}` with ranges and conditions, `HEAD`, and on the ops listener `POST /v1/blobs`.
package struct BlobRoutes: Sendable {
  private let source: any BlobSource
  private let state: StateFolder?
  private let maximumBytes: Int

  /// - Parameters:
  ///   - source: finds the blobs.
  ///   - state: the folder for posted blobs; `nil` if blobs cannot be posted here.
  ///   - maximumBytes: size limit of a posted blob.
  package init(source: any BlobSource, state: StateFolder? = nil, maximumBytes: Int = 8 << 30) {
    self.source = source
    self.state = state
    self.maximumBytes = maximumBytes
  }

  package func add(to router: Router<RouteContext>) {
    router.get("/v1/blobs/:digest") { request, context in try await get(request, context) }
    router.head("/v1/blobs/:digest") { request, context in try await get(request, context).createHeadResponse() }
    if let state { router.post("/v1/blobs") { request, context in try await post(request, context, state) } }
  }

  private func get(_ request: Request, _ context: RouteContext) async throws -> Response {
    guard let digest = Digest(context.parameters.get("digest") ?? "") else {
      throw Problem.badRequest("a blob's name must be sha256: and 64 hexadecimal digits")
    }
    let tag = "\"\(digest.hexadecimal)\""
    var headers: HTTPFields = [.eTag: tag, .acceptRanges: "bytes", .cacheControl: "public, max-age=31536000, immutable"]
    let file = try BlobFile(try await source.locate(digest))
    if let field = request.headers[.ifNoneMatch], matches(field, tag) { return Response(status: .notModified, headers: headers) }
    headers[.contentType] = "application/octet-stream"
    var range = ByteRange(request.headers[.range], size: file.size)
    // A blob never changes, so a condition fails only if it names another tag. A date always fails, because blobs have no dates here.
    if let condition = request.headers[.ifRange], condition != tag { range = .whole }
    switch range {
    case .whole: return Response(status: .ok, headers: headers, body: try file.body(0..<file.size))
    case .part(let part):
      headers[.contentRange] = "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(file.size)"
      return Response(status: .partialContent, headers: headers, body: try file.body(part))
    case .unsatisfiable:
      var response = problemResponse(
        Problem(.rangeNotSatisfiable, "the blob has \(file.size) bytes"))
      response.headers[.contentRange] = "bytes */\(file.size)"
      return response
    }
  }

  private func post(_ request: Request, _ context: RouteContext, _ state: StateFolder) async throws -> Response {
    let staged = try await receive(request, context, into: state, upTo: maximumBytes)
    let digest = try await offload { () throws(StorageError) in try state.adopt(staged) }
    return try jsonResponse(
      StoredBlob(digest: digest, bytes: staged.count), status: .created, headers: [.location: "/v1/blobs/\(digest)"])
  }
}

/// Evaluates `If-None-Match`: `*`, or a list of tags, including weak ones.
private func matches(_ field: String, _ tag: String) -> Bool {
  field.split(separator: ",").contains { member in
    let text = member.drop { $0 == " " }
    return text == "*" || text == tag || text == "W/\(tag)"
  }
}

/// Streams a body into a staged file, and checks its length and its declared digest. Nothing is kept if it fails.
func receive(
  _ request: Request, _ context: RouteContext, into state: StateFolder, upTo maximum: Int
) async throws -> StagedFile {
  if let length = try request.contentLength, length > maximum { throw Problem.tooLarge(maximum) }
  let declared = try request.declaredDigest()
  let staged = try state.stage(maximumBytes: maximum)
  try await receive(request, context, into: staged)
  if let declared, case let digest = staged.digest, declared != digest { throw Problem.wrongDigest(digest, declared) }
  return staged
}

/// Streams a body to the end of a file.
func receive(_ request: Request, _ context: RouteContext, into staged: StagedFile) async throws {
  try await context.expectBody(request)
  try await request.forEachPiece { buffer in try buffer.withUnsafeReadableBytes { try staged.write($0) } }
}

extension Request {
  /// The digest in `Content-Digest`; `nil` if the field is absent.
  func declaredDigest() throws(Problem) -> Digest? { try UploadFields.digest(headers[.contentDigest], "Content-Digest") }
}
