/// `application/problem+json`, RFC 9457: how every HTTP route reports an error. The member `code` is an extension of ours.
public struct Problem: Codable, Hashable, Sendable, Error, CustomStringConvertible {
  public static let contentType = "application/problem+json"

  public var status: Int
  /// Nil: something else than Muster answered, or version 0.1.0.
  public var code: ErrorCode?
  public var title: String
  public var detail: String
  /// Every field that is wrong, for a refused task.
  public var problems: [FieldProblem]?

  public init(_ code: ErrorCode, _ detail: String, problems: [FieldProblem]? = nil) {
    status = code.httpStatus ?? 500
    self.code = code
    title = code.title
    self.detail = detail
    self.problems = problems
  }

  /// An answer that carries no code of ours.
  public init(status: Int, title: String, detail: String) {
    self.status = status
    self.title = title
    self.detail = detail
  }

  public var description: String { detail.isEmpty ? title : "\(title): \(detail)" }
}
