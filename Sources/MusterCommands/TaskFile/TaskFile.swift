import FoundationEssentials
import MusterSchema
import MusterTaskFiles
import MusterTensors

/// A task from a YAML or JSON file, with the blobs that lie beside it.
struct TaskFile: Sendable {
  /// The file's name in messages.
  let path: String
  var specification: TaskSpecification
  /// The files that `initial: {blob: FILE}` and `model: {step: {blob: FILE}}` name, relative to the task file's folder.
  private(set) var blobs: [BlobFile] = []
  private let document: TaskDocument

  /// A file beside the task file that is uploaded before the push.
  struct BlobFile: Hashable, Sendable {
    /// The task's field that names the file.
    var field: String
    var path: String
    var digest: Digest

    func bytes() throws(CommandError) -> [UInt8] { try readFile(path, as: field) }
  }

  init(path: String) throws(CommandError) {
    let bytes = try readFile(path, as: "the task file")
    guard let text = String(validating: bytes, as: UTF8.self) else { throw CommandError(.usage, "\(path): the file is not UTF-8 text") }
    try self.init(text: text, path: path)
  }

  /// - Parameter path: the name for messages, and the path from which blobs are found.
  init(text: String, path: String) throws(CommandError) {
    var document: TaskDocument
    do {
      document = try TaskDocument(text)
      blobs = try Self.blobs(of: &document, beside: path)
      specification = try document.specification()
    } catch {
      throw CommandError(.usage, error.problems.map { Self.line(path, $0) }.joined(separator: "\n"))
    }
    self.path = path
    self.document = document
  }

  /// Replaces the names of files by the files' digests.
  private static func blobs(of document: inout TaskDocument, beside path: String) throws(FieldProblem.List) -> [BlobFile] {
    var blobs: [BlobFile] = []
    for place in TaskDocument.blobFields {
      guard case .string(let name)? = document[place], !name.hasPrefix("sha256:") else { continue }
      let folder = path.contains("/") ? path[...(path.lastIndex(of: "/") ?? path.startIndex)] : ""
      let file = name.hasPrefix("/") ? name : folder + name
      let field = place.joined(separator: ".")
      do {
        let blob = BlobFile(field: field, path: file, digest: Digest(of: try readFile(file, as: field)))
        if field == "initial.blob", let problem = problem(ofModel: file) { throw CommandError(.usage, "\(file): \(problem)") }
        document[place] = .string(blob.digest.description)
        blobs.append(blob)
      } catch {
        throw FieldProblem.List([document.located(FieldProblem(field: field, message: "\(error)"))])
      }
    }
    return blobs
  }

  /// The reason why a file cannot be the initial model; `nil` when it can.
  private static func problem(ofModel path: String) -> String? {
    do { return try SafetensorsFile(path: path).problemAsModel() } catch { return "\(error)" }
  }

  /// Reports every problem that can be found in the task alone.
  func check() throws(CommandError) {
    let problems = specification.problems()
    guard problems.isEmpty else { throw CommandError(.usage, describe(problems).joined(separator: "\n")) }
  }

  /// Each problem with its position, such as `digits.yaml:7:9: cohort.size: must be …`.
  func describe(_ problems: [FieldProblem]) -> [String] { problems.map { Self.line(path, document.located($0)) } }

  private static func line(_ path: String, _ problem: FieldProblem) -> String {
    guard let line = problem.line, let column = problem.column else { return "\(path): \(problem)" }
    return "\(path):\(line):\(column): \(problem)"
  }
}

/// Reads a file.
///
/// - Parameter role: the purpose of the file, for the error message.
func readFile(_ path: String, as role: String) throws(CommandError) -> [UInt8] {
  do {
    return Array(try Data(contentsOf: URL(filePath: path)))
  } catch {
    let why = (error as? CocoaError)?.code == .fileReadNoSuchFile ? "there is no such file" : systemReason(error)
    throw CommandError(.usage, "\(role) \(path) cannot be read: \(why)")
  }
}
