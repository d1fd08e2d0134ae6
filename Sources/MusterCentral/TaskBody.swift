import HTTPTypes
import Hummingbird
import MusterSchema
import MusterServer
import MusterTaskFiles

/// A task in the body of a request: YAML when its `Content-Type` says so (RFC 9512: `application/yaml`), otherwise JSON.
struct TaskBody: Sendable {
  private enum Content {
    case json([UInt8])
    case yaml(Result<TaskDocument, FieldProblem.List>)
  }

  private let content: Content

  init(_ request: Request, _ context: RouteContext) async throws {
    let bytes = try await request.bytes(context: context, upTo: TaskSpecification.maximumBytes)
    let type = request.headers[.contentType]?.prefix { $0 != ";" } ?? ""
    content =
      type.lowercased().contains("yaml") ? .yaml(Result { () throws(FieldProblem.List) in try TaskDocument(utf8: bytes) }) : .json(bytes)
  }

  /// - Throws: every problem, with its position in YAML.
  func specification() throws(FieldProblem.List) -> TaskSpecification {
    switch content {
    case .json(let bytes): try TaskSpecification(strictJSON: bytes)
    case .yaml(let document): try document.get().specification()
    }
  }

  /// The problems with the position of their fields in YAML.
  func located(_ problems: [FieldProblem]) -> [FieldProblem] {
    if case .yaml(.success(let document)) = content { problems.map(document.located) } else { problems }
  }
}
