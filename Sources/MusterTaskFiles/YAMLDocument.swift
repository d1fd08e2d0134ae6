import Yams

/// A YAML document as the JSON that it corresponds to, with the position of each field.
///
/// Plain scalars follow YAML 1.2's core schema, so that a region called `no` stays a string.
package struct YAMLDocument: Sendable {
  package var root: OrderedJSON
  /// Positions by path, such as `cohort.size` or `regions[1]`.
  package private(set) var positions: [String: TextPosition] = [:]
  /// The number of values so far. It is limited, because a chain of aliases can expand to more values than fit in memory.
  private var count = 0

  private static let maximumCount = 20_000
  private static let maximumDepth = 64

  package init(_ text: String) throws(YAMLProblem) {
    let node: Node?
    do {
      node = try Yams.compose(yaml: text)
    } catch let error as YamlError {
      throw YAMLProblem(error)
    } catch {
      throw YAMLProblem(position: nil, message: "\(error)")
    }
    guard let node else { throw YAMLProblem(position: TextPosition(line: 1, column: 1), message: "the file is empty") }
    root = .null
    root = try convert(node, path: "", depth: 0)
  }

  private mutating func convert(_ node: Node, path: String, depth: Int) throws(YAMLProblem) -> OrderedJSON {
    let position = TextPosition(node)
    if positions[path] == nil { positions[path] = position }
    count += 1
    guard count <= Self.maximumCount, depth <= Self.maximumDepth else {
      throw YAMLProblem(position: position, message: "the file has too many values, or nests them too deeply, for a task")
    }
    switch node {
    case .scalar(let scalar): return try value(scalar, at: position)
    case .sequence(let sequence):
      var items: [OrderedJSON] = []
      for (index, item) in sequence.enumerated() { items.append(try convert(item, path: "\(path)[\(index)]", depth: depth + 1)) }
      return .array(items)
    case .mapping(let mapping):
      var members: [OrderedJSON.Member] = []
      for (key, item) in mapping {
        guard case .scalar(let name) = key else {
          throw YAMLProblem(position: TextPosition(key), message: "the name of a field must be a string")
        }
        guard name.string != "<<" else { throw YAMLProblem(position: TextPosition(key), message: "merge keys (<<) are not supported") }
        let inner = path.isEmpty ? name.string : "\(path).\(name.string)"
        if positions[inner] == nil { positions[inner] = TextPosition(key) }
        members.append(OrderedJSON.Member(name: name.string, value: try convert(item, path: inner, depth: depth + 1)))
      }
      return .object(members)
    case .alias: throw YAMLProblem(position: position, message: "the alias has no anchor")
    }
  }

  private func value(_ scalar: Node.Scalar, at position: TextPosition?) throws(YAMLProblem) -> OrderedJSON {
    let text = scalar.string
    guard scalar.style == .plain || scalar.style == .any, scalar.tag != Tag(.str) else { return .string(text) }
    switch text {
    case "", "~", "null", "Null", "NULL": return .null
    case "true", "True", "TRUE": return .boolean(true)
    case "false", "False", "FALSE": return .boolean(false)
    default: break
    }
    guard let first = text.utf8.first, (0x30...0x39).contains(first) || [0x2B, 0x2D, 0x2E].contains(first) else { return .string(text) }
    if text.lowercased().hasSuffix(".inf") || text.lowercased() == ".nan" {
      throw YAMLProblem(position: position, message: "\(text) is not a finite number")
    }
    if let integer = Int64(text) { return .number(String(integer)) }
    if let integer = UInt64(text) { return .number(String(integer)) }
    guard text.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }), let number = Double(text) else { return .string(text) }
    guard number.isFinite else { throw YAMLProblem(position: position, message: "\(text) is not a finite number") }
    return .number("\(number)")
  }
}

extension TextPosition {
  fileprivate init?(_ node: Node) {
    guard let mark = node.mark else { return nil }
    self.init(line: mark.line, column: mark.column)
  }
}

extension YAMLProblem {
  fileprivate init(_ error: YamlError) {
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _), .composer(_, let problem, let mark, _):
      self.init(position: TextPosition(line: mark.line, column: mark.column), message: problem)
    case .duplicatedKeysInMapping(let duplicates, let context):
      self.init(
        position: TextPosition(line: context.mark.line, column: context.mark.column),
        message: "\(duplicates.sorted().joined(separator: ", ")) is given twice")
    case .reader(let problem, let offset, _, let text):
      self.init(position: offset.map { TextPosition(offset: $0, in: text) }, message: problem)
    default: self.init(position: nil, message: "\(error)")
    }
  }
}

extension TextPosition {
  fileprivate init(offset: Int, in text: String) {
    let before = text.prefix(offset)
    let line = before.count { $0.isNewline } + 1
    let start = before.lastIndex { $0.isNewline }.map { before.index(after: $0) } ?? before.startIndex
    self.init(line: line, column: before.distance(from: start, to: before.endIndex) + 1)
  }
}
