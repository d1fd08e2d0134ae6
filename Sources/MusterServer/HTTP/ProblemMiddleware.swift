import HTTPTypes
import Hummingbird
import Logging
package import MusterSchema
package import MusterStorage

/// Turns all errors into answers.
struct ProblemMiddleware: RouterMiddleware {
  private let log: RefusalLog

  init(log: RefusalLog) { self.log = log }

  func handle(
    _ request: Request, context: RouteContext, next: (Request, RouteContext) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch let error as ProblemWithRetry {
      return answer(error.problem, retryAfter: error.retryAfter, headers: error.headers, request, context)
    } catch let error as Problem {
      return answer(error, retryAfter: error.code == .unavailable ? 1 : nil, request, context)
    } catch let error as StorageError {
      let problem = Problem(error)
      switch error {
      // These do not indicate a problem with the disk.
      case .tooLarge, .superseded, .claimed, .crowded: break
      case .diskFull, .busy, .corrupt, .newer, .exhausted, .unstorable, .io:
        context.logger.error(
          "an operation on the state folder failed", metadata: ["http.path": "\(request.uri.path.prefix(200))", "error": "\(error)"])
      }
      return answer(problem, retryAfter: [429, 503].contains(problem.status) ? 1 : nil, request, context)
    } catch let error as IdentifierError {
      return problemResponse(.badRequest("\(error)"))
    } catch let error as any HTTPResponseError {
      let status = error.status
      guard status == .notFound else { return problemResponse(Problem(status: status.code, title: status.reasonPhrase, detail: "")) }
      let path = String(request.uri.path.prefix(200)).withoutControlCharacters
      return problemResponse(.notFound("there is no \(request.method.rawValue) \(path) here"))
    } catch {
      context.logger.error("a request failed", metadata: ["http.path": "\(request.uri.path.prefix(200))", "error": "\(error)"])
      return problemResponse(Problem(.internalError, "see the server's log"))
    }
  }

  private func answer(
    _ problem: Problem, retryAfter: Double? = nil, headers: HTTPFields = [:], _ request: Request, _ context: RouteContext
  ) -> Response {
    log.note(
      problem.status, "\(problem)",
      [
        "client": "\(context.client)", "http.method": "\(request.method.rawValue.prefix(16))",
        "http.path": "\(String(request.uri.path.prefix(200)).withoutControlCharacters)",
      ])
    var response = problemResponse(problem, retryAfter: retryAfter)
    for field in headers { response.headers[field.name] = field.value }
    return response
  }
}

extension Problem {
  /// The problem of a failed disk operation: 507 if the disk is full, 413 for a body over its limit, 429 if there is no room for another
  /// partial upload, and 503 for everything else.
  package init(_ error: StorageError) {
    switch error {
    case .diskFull: self.init(.diskFull, "the server's disk is full")
    case .tooLarge(let maximum): self = .tooLarge(maximum)
    case .crowded: self.init(.tooManyUploads, "the server has no room for another partial upload: try again later")
    case .superseded, .claimed: self.init(.uploadSuperseded, "\(error)")
    case .busy, .corrupt, .newer, .exhausted, .unstorable, .io:
      self.init(.unavailable, "the server's state folder cannot be used now; its log has the reason")
    }
  }
}
