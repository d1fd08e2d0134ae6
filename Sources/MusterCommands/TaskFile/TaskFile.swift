import FoundationEssentials
import MusterSchema
import MusterTensors

/// A task from a YAML or JSON file, with the position of each field for error messages.
struct TaskFile: Sendable {
  /// The file's name in messages.
  let path: String
  var specification: TaskSpecification
  /// The files that `initial: {blob: FILE}` and `model: {step: {blob: FILE}}` name, relative to the task file's folder.
  private(set) var blobs: [BlobFile] = []
  private let positions: [String: TextPosition]

  /// A file beside the task file that is uploaded before the push.
  struct BlobFile: Hashable, Sendable {
    /// The task's field that names the file.
    var field: String
    var path: String
    var digest: Digest

    func bytes() throws(CommandError) -> [UInt8] { try readFile(path, as: field) }
  }

  private static let blobFields = [["initial", "blob"], ["model", "step", "blob"]]

  init(path: String) throws(CommandError) {
    let bytes = try readFile(path, as: "the task file")
    guard let text = String(validating: bytes, as: UTF8.self) else { throw CommandError(.usage, "\(path): the file is not UTF-8 text") }
    try self.init(text: text, path: path)
  }

  /// - Parameter path: the name for messages, and the path from which blobs are found.
  init(text: String, path: String) throws(CommandError) {
    guard text.utf8.count <= Self.maximumBytes else {
      throw CommandError(.usage, "\(path): the file is larger than \(Words.bytes(Self.maximumBytes)), the limit for a task")
    }
    var document: YAMLDocument
    do {
      document = try YAMLDocument(text)
    } catch {
      throw CommandError(.usage, "\(path):\(error)")
    }
    self.path = path
    positions = document.positions
    for place in Self.blobFields {
      guard case .string(let name)? = document.root[place], !name.hasPrefix("sha256:") else { continue }
      let folder = path.contains("/") ? path[...(path.lastIndex(of: "/") ?? path.startIndex)] : ""
      let file = name.hasPrefix("/") ? name : folder + name
      let field = place.joined(separator: ".")
      do {
        let blob = BlobFile(field: field, path: file, digest: Digest(of: try readFile(file, as: field)))
        if field == "initial.blob", let problem = Self.problem(ofModel: file) { throw CommandError(.usage, "\(file): \(problem)") }
        document.root[place] = .string(blob.digest.description)
        blobs.append(blob)
      } catch {
        throw CommandError(.usage, Self.line(path, document.positions, field, "\(error)"))
      }
    }
    do {
      specification = try TaskSpecification(strictJSON: document.root.json.utf8)
    } catch {
      let lines = error.problems.map { problem in
        let (field, message) = Self.split(problem)
        return Self.line(path, document.positions, field, message)
      }
      throw CommandError(.usage, lines.joined(separator: "\n"))
    }
  }

  /// The reason why a file cannot be the initial model; `nil` when it can.
  private static func problem(ofModel path: String) -> String? {
    do { return try SafetensorsFile(path: path).problemAsModel() } catch { return "\(error)" }
  }

  /// The limit on a task's size that central has, too.
  static let maximumBytes = 256 << 10

  /// Reports every problem that can be found in the task alone.
  func check() throws(CommandError) {
    let problems = specification.problems()
    guard problems.isEmpty else { throw CommandError(.usage, describe(problems).joined(separator: "\n")) }
  }

  /// Each problem with its position, such as `digits.yaml:7:9: cohort.size: must be …`.
  func describe(_ problems: [FieldProblem]) -> [String] {
    problems.map { Self.line(path, positions, $0.field, $0.message) }
  }

  private static func line(_ path: String, _ positions: [String: TextPosition], _ field: String, _ message: String) -> String {
    let text = field.isEmpty ? message : "\(field): \(message)"
    // Use the position of the field itself, or else that of the nearest enclosing field that the file has.
    var place = field
    while true {
      if let position = positions[place] { return "\(path):\(position): \(text)" }
      guard let cut = place.lastIndex(where: { $0 == "." || $0 == "[" }) else { break }
      place = String(place[..<cut])
    }
    return "\(path):\(positions[""].map { "\($0):" } ?? "") \(text)"
  }

  /// Splits a decoding error, whose message begins with the field.
  private static func split(_ problem: FieldProblem) -> (field: String, message: String) {
    guard problem.field.isEmpty, let colon = problem.message.firstRange(of: ": ") else { return (problem.field, problem.message) }
    let head = problem.message[..<colon.lowerBound]
    guard !head.isEmpty, !head.contains(" ") else { return ("", problem.message) }
    return (String(head), String(problem.message[colon.upperBound...]))
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
