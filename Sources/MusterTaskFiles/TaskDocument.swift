package import MusterSchema

/// A task as its author wrote it, in YAML or JSON, with the position of each field for error messages.
package struct TaskDocument: Sendable {
  /// Fields whose value is the digest of a blob, or in a file beside its blobs the path of one.
  package static let blobFields = [["initial", "blob"], ["model", "step", "blob"]]

  private var document: YAMLDocument

  /// - Throws: one problem, with its position, for a text that is too large or not YAML that corresponds to JSON.
  package init(_ text: String) throws(FieldProblem.List) {
    guard text.utf8.count <= TaskSpecification.maximumBytes else {
      throw FieldProblem.List([
        FieldProblem(field: "", message: "the text is larger than \(TaskSpecification.maximumBytes >> 10) KiB, the limit for a task")
      ])
    }
    do {
      document = try YAMLDocument(text)
    } catch {
      throw FieldProblem.List([FieldProblem(field: "", message: error.message, line: error.position?.line, column: error.position?.column)])
    }
  }

  /// - Throws: one problem for bytes that are not UTF-8; see ``init(_:)``.
  package init(utf8 bytes: [UInt8]) throws(FieldProblem.List) {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw FieldProblem.List([FieldProblem(field: "", message: "the text is not UTF-8")])
    }
    try self.init(text)
  }

  /// The value of a field. Setting a field that does not exist does nothing.
  package subscript(field: [String]) -> OrderedJSON? {
    get { document.root[field] }
    set { document.root[field] = newValue }
  }

  /// The task.
  ///
  /// - Throws: every field that is missing, unknown or of the wrong type, with its position. What is wrong with the values: ``TaskSpecification/problems()``.
  package func specification() throws(FieldProblem.List) -> TaskSpecification {
    do {
      return try TaskSpecification(strictJSON: document.root.json.utf8)
    } catch {
      throw FieldProblem.List(error.problems.map { located($0.splitting()) })
    }
  }

  /// The problem with the position of its field, or else of the nearest enclosing field that the text has.
  package func located(_ problem: FieldProblem) -> FieldProblem {
    var problem = problem
    var place = problem.field
    while true {
      if let position = document.positions[place] {
        (problem.line, problem.column) = (position.line, position.column)
        return problem
      }
      guard !place.isEmpty else { return problem }
      place = place.lastIndex { $0 == "." || $0 == "[" }.map { String(place[..<$0]) } ?? ""
    }
  }
}

extension FieldProblem {
  /// Splits the field off a decoding error, whose message begins with it.
  fileprivate func splitting() -> FieldProblem {
    guard field.isEmpty, let colon = message.firstRange(of: ": ") else { return self }
    let head = message[..<colon.lowerBound]
    guard !head.isEmpty, !head.contains(" ") else { return self }
    return FieldProblem(field: String(head), message: String(message[colon.upperBound...]))
  }
}
