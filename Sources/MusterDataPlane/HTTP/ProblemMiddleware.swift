import HTTPTypes
package import Hummingbird
import Logging
package import MusterSchema
package import MusterStorage

/// The one place where errors become answers.
package struct ProblemMiddleware: RouterMiddleware {
  package init() {}

  package func handle(
    _ request: Request, context: RouteContext, next: (Request, RouteContext) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch let error as ProblemWithRetry {
      return problemResponse(error.problem, retryAfter: error.retryAfter)
    } catch let error as Problem {
      return problemResponse(error)
    } catch let error as StorageError {
      let problem = Problem(error)
      context.logger.error("the state folder failed", metadata: ["http.path": "\(request.uri.path.prefix(200))", "error": "\(error)"])
      return problemResponse(problem, retryAfter: problem.status == 503 ? 1 : nil)
    } catch let error as IdentifierError {
      return problemResponse(.badRequest("\(error)"))
    } catch let error as any HTTPResponseError {
      let status = error.status
      guard status == .notFound else { return problemResponse(Problem(status: status.code, title: status.reasonPhrase, detail: "")) }
      let path = String(request.uri.path.prefix(200)).withoutControlCharacters
      return problemResponse(.notFound("there is no \(request.method.rawValue) \(path) here"))
    } catch {
      context.logger.error("a request failed", metadata: ["http.path": "\(request.uri.path.prefix(200))", "error": "\(error)"])
      return problemResponse(Problem(status: 500, title: "Internal error", detail: "the server's log says more"))
    }
  }
}

extension Problem {
  /// What a client is told when the disk fails: 507 when it is full, 503 when it may pass, 413 for a body over its bound.
  package init(_ error: StorageError) {
    switch error {
    case .diskFull: self.init(status: 507, title: "Insufficient storage", detail: "the server's disk is full")
    case .tooLarge(let maximum): self = .tooLarge(maximum)
    case .busy, .corrupt, .newer, .io: self.init(status: 503, title: "Unavailable", detail: "the server cannot store this now")
    }
  }
}
