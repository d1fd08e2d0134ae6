import HTTPTypes
package import Hummingbird
import HummingbirdCore
package import MusterSchema

// All lists follow one convention: see ``PageRequest``. Filters are query parameters with the names of fields.

/// A response with one page of a list as a JSON array. Its Link header has the address of the next page (RFC 8288).
package func listResponse<Row: Encodable>(_ page: Page<Row>, _ request: Request) throws -> Response {
  var headers: HTTPFields = [:]
  if let next = page.next {
    // The raw query, so that escaped characters stay escaped.
    let kept = (request.uri.query ?? "").split(separator: "&").filter { !$0.hasPrefix("after=") }.map { escaped($0) }
    headers[.link] = "<\(request.uri.path)?\((kept + ["after=\(next)"]).joined(separator: "&"))>; rel=\"next\""
  }
  return try jsonResponse(page.rows, headers: headers)
}

/// Percent-encodes the characters that must not occur in an address in a header.
private func escaped(_ part: some StringProtocol) -> String {
  part.utf8.reduce(into: "") { text, byte in
    let isPlain = byte > 0x20 && byte < 0x7f && !Array("<>\"".utf8).contains(byte)
    text += isPlain ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
  }
}

extension PageRequest {
  package init(_ request: Request) throws(Problem) {
    let query = request.uri.queryParameters
    try self.init(limit: query["limit"], after: query["after"])
  }
}

extension TaskFilter {
  /// Reads `open` (true or false), `step` (a final one), `name`.
  package init(_ request: Request) throws(Problem) {
    let query = request.uri.queryParameters
    // Only central's memory knows the step of a running task.
    let ends = RoundState.Step.allCases.filter(\.isFinal)
    self.init(
      isOpen: try query.choice("open", ["true": true, "false": false]),
      step: try query.choice("step", Dictionary(uniqueKeysWithValues: ends.map { ($0.rawValue, $0) })), name: query.text("name"))
  }
}

extension ContributionFilter {
  /// Reads `task`, `round`, `phase`, `node` (a complete path), `fate`.
  package init(_ request: Request) throws(Problem) {
    let query = request.uri.queryParameters
    self.init(
      task: try query.text("task").map { text throws(Problem) in try TaskID.read(text) },
      round: try query["round"].map { text throws(Problem) in try ContributionKey.round(text) }, phase: try query.choice("phase"),
      node: query.text("node"), fate: try query.choice("fate"))
    guard round == nil || task != nil else {
      throw Problem(.badRequest, "round=\(round ?? 0) needs task=…, because each task counts its own rounds")
    }
  }
}

extension EventFilter {
  /// Reads `task`, `kind`.
  package init(_ request: Request) throws(Problem) {
    let query = request.uri.queryParameters
    self.init(task: try query.text("task").map { text throws(Problem) in try TaskID.read(text) }, kind: try query.choice("kind"))
  }
}

extension Request {
  /// Whether the client asks for server-sent events instead of a list.
  package var wantsEventStream: Bool { headers[.accept]?.contains("text/event-stream") ?? false }

  /// The number of the last event that the client of a stream has seen; `nil` if the header is absent or not a number.
  package var lastEventID: Int? { headers[.lastEventID].flatMap { Bounds(0...Int.max).read($0) } }
}

extension Parameters {
  fileprivate func text(_ name: String) -> String? { self[name[...]].map(String.init) }

  /// The value of an enumeration that the parameter names; `nil` if the parameter is absent.
  fileprivate func choice<T: RawRepresentable<String> & CaseIterable>(_ name: String) throws(Problem) -> T? {
    try choice(name, Dictionary(uniqueKeysWithValues: T.allCases.map { ($0.rawValue, $0) }))
  }

  fileprivate func choice<T>(_ name: String, _ choices: [String: T]) throws(Problem) -> T? {
    guard let text = text(name) else { return nil }
    if let choice = choices[text] { return choice }
    let known = choices.keys.sorted().joined(separator: ", ")
    throw Problem(.badRequest, "\(name)=\(String(text.prefix(60)).withoutControlCharacters): expected one of \(known)")
  }
}

extension TaskID {
  fileprivate static func read(_ text: String) throws(Problem) -> TaskID {
    do { return try TaskID(validating: text) } catch { throw Problem(.badRequest, "\(error)") }
  }
}
