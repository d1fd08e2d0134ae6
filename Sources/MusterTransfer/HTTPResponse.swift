import MusterSchema

/// A server's answer, with its body in memory.
package struct HTTPResponse: Sendable {
  package var status: Int
  /// The headers in order of arrival, with names in lowercase.
  package var headers: [(name: String, value: String)]
  package var body: [UInt8]

  package init(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// The first value of a header, by its lowercase name.
  package subscript(name: String) -> String? { headers.first { $0.name == name }?.value }

  /// Decodes the body as JSON.
  package func decode<T: Decodable>(_ type: T.Type = T.self) throws(TransferError) -> T {
    do {
      return try JSON.decode(type, from: body)
    } catch {
      throw .io("the server's answer cannot be decoded: \(JSON.explain(error, in: body))")
    }
  }
}

extension HTTPResponse {
  /// The error for a status of 300 or above; `nil` for a lower status and for 304.
  ///
  /// A body that is not problem+json becomes a problem whose detail is the beginning of the body. Redirects are not followed, because only
  /// the configuration decides where bytes go.
  var failure: TransferError? {
    guard status >= 300, status != 304 else { return nil }
    // A 409 with an offset tells where to continue an upload. It is an answer, not a failure.
    if status == 409, self["upload-offset"] != nil { return nil }
    // A longer time than the bound is shortened to the bound.
    let retryAfter = self["retry-after"].flatMap { Double($0) }.flatMap { $0 >= 0 ? Bounds.seconds.limited($0) : nil }
    if var problem = try? JSON.decode(Problem.self, from: body) {
      problem.status = status
      return .problem(problem, retryAfter: retryAfter)
    }
    let text = String(decoding: body.prefix(200), as: UTF8.self).withoutControlCharacters
    let detail =
      status < 400 ? "it redirects to \(self["location"] ?? "an address that it does not name"), but redirects are not followed" : text
    return .problem(Problem(status: status, title: "HTTP \(status)", detail: detail), retryAfter: retryAfter)
  }
}
