import HTTPTypes
package import Hummingbird
import HummingbirdCore
package import MusterSchema

// One convention for all lists: see ``PageRequest``. Filters are query parameters with the names of fields.

/// A part of a list as a JSON array, with the address of the next part in its Link header (RFC 8288).
package func listResponse<Row: Encodable>(_ page: Page<Row>, _ request: Request) throws -> Response {
  var headers: HTTPFields = [:]
  if let next = page.next {
    // As it came, so that what was escaped stays so.
    let kept = (request.uri.query ?? "").split(separator: "&").filter { !$0.hasPrefix("after=") }.map { escaped($0) }
    headers[.link] = "<\(request.uri.path)?\((kept + ["after=\(next)"]).joined(separator: "&"))>; rel=\"next\""
  }
  return try jsonResponse(page.rows, headers: headers)
}

/// Without the characters that an address in a header must not have.
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
  /// `open` (true or false), `step` (how they ended), `name`.
  package init(_ request: Request) throws(Problem) {
    let query = request.uri.queryParameters
    // Only central's memory knows the step of a task that goes on.
    let ends = RoundState.Step.allCases.filter(\.isFinal)
    self.init(
      isOpen: try query.choice("open", ["true": true, "false": false]),
      step: try query.choice("step", Dictionary(uniqueKeysWithValues: ends.map { ($0.rawValue, $0) })), name: query.text("name"))
  }
}

extension ContributionFilter {
  /// `task`, `round`, `phase`, `node` (a whole path), `fate`.
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
  /// `task`, `kind`.
  package init(_ request: Request) throws(Problem) {
    let query = request.uri.queryParameters
    self.init(task: try query.text("task").map { text throws(Problem) in try TaskID.read(text) }, kind: try query.choice("kind"))
  }
}

extension Request {
  /// Whether the client asks for server-sent events instead of a list.
  package var wantsEventStream: Bool { headers[.accept]?.contains("text/event-stream") ?? false }

  /// The last event that a client of a stream has seen; nil when it does not say, or not with a number.
  package var lastEventID: Int? { headers[.lastEventID].flatMap { Bounds(0...Int.max).read($0) } }
}

extension Parameters {
  fileprivate func text(_ name: String) -> String? { self[name[...]].map(String.init) }

  /// One of an enumeration's values.
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
