package import HTTPTypes

extension HTTPField.Name {
  package static let uploadComplete = known("Upload-Complete")
  package static let uploadOffset = known("Upload-Offset")
  package static let uploadLength = known("Upload-Length")
  package static let uploadLimit = known("Upload-Limit")
  package static let acceptPatch = known("Accept-Patch")
  package static let reprDigest = known("Repr-Digest")
  package static let contentDigest = known("Content-Digest")
  package static let link = known("Link")
  package static let lastEventID = known("Last-Event-ID")

  private static func known(_ name: String) -> HTTPField.Name {
    guard let name = HTTPField.Name(name) else { preconditionFailure("\(name) is not a valid field name") }
    return name
  }
}
