package import HTTPTypes
package import Hummingbird
package import MusterSchema

/// A response of plain text, for health and metrics.
package func textResponse(_ text: String, status: HTTPTypes.HTTPResponse.Status = .ok) -> Response {
  Response(status: status, headers: [.contentType: "text/plain; charset=utf-8"], body: .init(byteBuffer: .init(string: text)))
}

extension RouteContext {
  /// Reads an identifier from the path.
  package func identifier<I: Identifier>(_ name: String, as type: I.Type = I.self) throws(Problem) -> I {
    let text = parameters.get(name) ?? ""
    do {
      return try I(validating: text)
    } catch {
      throw Problem(.invalidBody, "this is not a valid \(I.noun): \(error.description)")
    }
  }

  /// Reads the round from the path.
  package func round() throws(Problem) -> Int { try ContributionKey.round(parameters.get("round")?[...] ?? "") }
}
