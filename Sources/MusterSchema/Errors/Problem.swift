/// An HTTP error as `application/problem+json` (RFC 9457), the form of every route's errors. The member `code` is an extension of Muster.
package struct Problem: Codable, Hashable, Sendable, Error, CustomStringConvertible {
  package static let contentType = "application/problem+json"

  package var status: Int
  /// `nil` if something other than Muster answered, or version 0.1.0.
  package var code: ErrorCode?
  package var title: String
  package var detail: String
  /// All wrong fields of a refused task.
  package var problems: [FieldProblem]?

  package init(_ code: ErrorCode, _ detail: String, problems: [FieldProblem]? = nil) {
    status = code.httpStatus ?? 500
    self.code = code
    title = code.title
    self.detail = detail
    self.problems = problems
  }

  /// A problem without a code of Muster.
  package init(status: Int, title: String, detail: String) {
    self.status = status
    self.title = title
    self.detail = detail
  }

  package var description: String { detail.isEmpty ? title : "\(title): \(detail)" }
}
