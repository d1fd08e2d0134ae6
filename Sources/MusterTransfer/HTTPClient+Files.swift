package import MusterSchema

extension HTTPClient {
  /// Downloads a blob to a file, which appears only when it is complete and has the digest.
  ///
  /// What an interrupted download left beside the file is continued by range, if the server still has the same bytes. Flushed to the
  /// disk before it returns.
  ///
  /// - Parameter maximumBytes: of the whole file.
  package func download(
    _ url: String, to path: String, expecting digest: Digest, maximumBytes: Int
  ) async throws(TransferError) {
    let writer = try await blocking { () throws(TransferError) in
      try DownloadWriter(path: path, expecting: digest, maximum: maximumBytes)
    }
    do throws(TransferError) {
      try await fetch(url, into: writer)
    } catch {
      guard error.status == 416, writer.offset > 0 else { throw error }
      // The partial file is as long as the whole, or longer: it may be complete, else it is of no use.
      writer.restart()
      try await fetch(url, into: writer)
    }
    try await blocking { () throws(TransferError) in try writer.finish() }
  }

  private func fetch(_ url: String, into writer: DownloadWriter) async throws(TransferError) {
    var headers: [(String, String)] = []
    if writer.offset > 0 { headers = [("Range", "bytes=\(writer.offset)-"), ("If-Range", "\"\(writer.expected.hexadecimal)\"")] }
    let offset = writer.offset
    let response = try await run(TransferRequest(method: "GET", url: url, headers: headers, sink: .file(writer)))
    // An empty body never reached the writer.
    if response.status == 200, offset > 0, writer.offset == offset { writer.restart() }
  }

  /// Uploads a file, streamed, with its digest.
  ///
  /// - Parameter progress: called on the client's thread after each piece, with bytes sent and in all: it must return at once.
  /// - Returns: the status, 200 or 201.
  @discardableResult
  package func upload(
    _ source: UploadSource, to url: String, ticket: Ticket?, digest: Digest, contentType: String = "application/octet-stream",
    progress: (@Sendable (_ sent: Int64, _ total: Int64) -> Void)? = nil
  ) async throws(TransferError) -> Int {
    let reader = try UploadReader(source)
    var headers = [("Content-Type", contentType), ("Content-Digest", digest.contentDigest)]
    if let ticket { headers.append(("Authorization", "Bearer \(ticket.text)")) }
    let request = TransferRequest(
      method: "PUT", url: url, headers: headers, body: .file(reader), sink: .memory(maximum: 64 << 10), progress: progress)
    return try await run(request).status
  }

  /// Uploads a whole file: see ``upload(_:to:ticket:digest:contentType:progress:)``.
  @discardableResult
  package func upload(
    file: String, to url: String, ticket: Ticket?, digest: Digest, contentType: String = "application/octet-stream",
    progress: (@Sendable (_ sent: Int64, _ total: Int64) -> Void)? = nil
  ) async throws(TransferError) -> Int {
    try await upload(UploadSource(file: file), to: url, ticket: ticket, digest: digest, contentType: contentType, progress: progress)
  }
}
