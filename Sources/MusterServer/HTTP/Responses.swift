import FoundationEssentials
package import HTTPTypes
package import Hummingbird
package import MusterSchema
package import NIOCore

/// The response for a problem.
///
/// - Parameter retryAfter: seconds until the client may try again, rounded up.
package func problemResponse(_ problem: Problem, retryAfter: Double? = nil) -> Response {
  var headers: HTTPFields = [.contentType: Problem.contentType]
  if let retryAfter, retryAfter.isFinite, retryAfter >= 0 { headers[.retryAfter] = "\(Int(min(retryAfter, 86_400).rounded(.up)))" }
  let body = (try? JSON.encode(problem)) ?? Array(#"{"title":"Internal error","status":500,"detail":""}"#.utf8)
  return Response(
    status: HTTPTypes.HTTPResponse.Status(code: problem.status), headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
}

/// A response with a value as JSON.
package func jsonResponse(
  _ value: some Encodable, status: HTTPTypes.HTTPResponse.Status = .ok, headers: HTTPFields = [:]
) throws -> Response {
  var headers = headers
  headers[.contentType] = "application/json"
  return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: try JSON.encode(value))))
}

/// A problem with additional headers.
package struct ProblemWithRetry: Error {
  package var problem: Problem
  package var retryAfter: Double?
  package var headers: HTTPFields

  package init(problem: Problem, retryAfter: Double? = nil, headers: HTTPFields = [:]) {
    self.problem = problem
    self.retryAfter = retryAfter
    self.headers = headers
  }
}

extension Request {
  /// The length of the body as its sender announces it; `nil` if it is chunked. All code reads this number from here.
  ///
  /// - Throws: `Problem` 400 if it is not a number, 413 if it is larger than any body may be.
  package var contentLength: Int? {
    get throws(Problem) {
      guard let text = headers[.contentLength] else { return nil }
      if let length = Bounds.bytes.read(text) { return length }
      throw !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
        ? .tooLarge(Bounds.bytes.range.upperBound) : .badRequest("Content-Length must be a whole number from 0")
    }
  }

  /// Reads a body of at most `maximum` bytes.
  ///
  /// - Throws: `Problem` 413, or 400 if the connection ends before the body does.
  package func bytes(context: RouteContext, upTo maximum: Int) async throws -> [UInt8] {
    if let length = try contentLength, length > maximum { throw Problem.tooLarge(maximum) }
    try await context.expectBody(self)
    var bytes: [UInt8] = []
    try await forEachPiece { buffer in
      guard bytes.count + buffer.readableBytes <= maximum else { throw Problem.tooLarge(maximum) }
      bytes.append(contentsOf: buffer.readableBytesView)
    }
    return bytes
  }

  /// Reads a JSON body.
  ///
  /// - Throws: `Problem` 413, or 400 with the error in the body.
  package func json<T: Decodable>(_ type: T.Type = T.self, context: RouteContext, upTo maximum: Int = 1 << 20) async throws -> T {
    let bytes = try await bytes(context: context, upTo: maximum)
    do {
      return try JSON.decode(type, from: bytes)
    } catch {
      throw Problem(.badRequest, JSON.explain(error, in: bytes))
    }
  }

  /// Reads the body piece by piece.
  ///
  /// - Throws: errors of `use`, `Problem` 408 if the client is too slow, and 400 if the connection ends before the body does.
  package func forEachPiece(_ use: (ByteBuffer) throws -> Void) async throws {
    var pieces = body.makeAsyncIterator()
    var count = 0
    while true {
      let piece: ByteBuffer?
      do {
        piece = try await pieces.next()
      } catch is SlowClient {
        throw Problem(.slowBody, "\(count) bytes arrived, and then no more for too long")
      } catch {
        throw Problem.incomplete("the connection was lost after \(count) bytes")
      }
      guard let piece else { break }
      count += piece.readableBytes
      try use(piece)
    }
    // A lost connection looks like the end of the body.
    if let length = try contentLength, length != count { throw Problem.incomplete("only \(count) of \(length) bytes arrived") }
  }
}

extension Problem {
  package static func notFound(_ detail: String) -> Problem { Problem(.notFound, detail) }
  package static func badRequest(_ detail: String) -> Problem { Problem(.badRequest, detail) }
  package static func incomplete(_ detail: String) -> Problem { Problem(.incompleteBody, detail) }
  package static func tooLarge(_ maximum: Int) -> Problem {
    Problem(.bodyTooLarge, "the body may have at most \(maximum) bytes")
  }
  package static func invalid(_ detail: String) -> Problem { Problem(.invalidBody, detail) }
}
