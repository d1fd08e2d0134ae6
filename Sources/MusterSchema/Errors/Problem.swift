/// `application/problem+json`, RFC 9457: how every HTTP route reports an error. The member `code` is an extension of ours.
package struct Problem: Codable, Hashable, Sendable, Error, CustomStringConvertible {
  package static let contentType = "application/problem+json"

  package var status: Int
  /// Nil: something else than Muster answered, or version 0.1.0.
  package var code: ErrorCode?
  package var title: String
  package var detail: String
  /// Every field that is wrong, for a refused task.
  package var problems: [FieldProblem]?

  package init(_ code: ErrorCode, _ detail: String, problems: [FieldProblem]? = nil) {
    status = code.httpStatus ?? 500
    self.code = code
    title = code.title
    self.detail = detail
    self.problems = problems
  }

  /// An answer that carries no code of ours.
  package init(status: Int, title: String, detail: String) {
    self.status = status
    self.title = title
    self.detail = detail
  }

  package var description: String { detail.isEmpty ? title : "\(title): \(detail)" }
}
