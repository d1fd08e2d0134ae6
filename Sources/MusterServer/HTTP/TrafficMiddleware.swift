import HTTPTypes
package import Hummingbird
import MusterSchema
import NIOCore

/// Counts the bytes of uploaded contributions and downloaded models as they pass. An interrupted transfer counts up to the interruption.
package struct TrafficMiddleware: RouterMiddleware {
  package typealias Context = RouteContext

  private let meter: TrafficMeter

  package init(_ meter: TrafficMeter) { self.meter = meter }

  package func handle(
    _ request: Request, context: RouteContext, next: (Request, RouteContext) async throws -> Response
  ) async throws -> Response {
    let parts = request.uri.path.split(separator: "/")
    if parts.count > 4, parts[1] == "tasks", parts[3] == "rounds", let task = TaskID(rawValue: String(parts[2])) {
      var request = request
      let (body, meter) = (request.body, meter)
      request.body = RequestBody(
        asyncSequence: body.map { buffer in
          meter.received(buffer.readableBytes, of: task)
          return buffer
        })
      return try await next(request, context)
    }
    var response = try await next(request, context)
    if request.method == .get, parts.count == 3, parts[1] == "blobs", let blob = Digest(String(parts[2])) {
      let (body, meter) = (response.body, meter)
      response.body = ResponseBody(contentLength: body.contentLength) { writer in
        try await body.write(CountingWriter(writer: writer) { meter.sent($0, of: blob) })
      }
    }
    return response
  }
}

private struct CountingWriter: ResponseBodyWriter {
  var writer: any ResponseBodyWriter
  let count: @Sendable (Int) -> Void

  mutating func write(_ buffer: ByteBuffer) async throws {
    count(buffer.readableBytes)
    try await writer.write(buffer)
  }

  consuming func finish(_ trailingHeaders: HTTPFields?) async throws { try await writer.finish(trailingHeaders) }
}
