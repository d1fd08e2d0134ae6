import MusterGround
package import MusterSchema

extension HTTPClient {
  /// Downloads a blob to a file, which appears only when it is complete and has the digest.
  ///
  /// What an interrupted download left beside the file is continued by range, if the server still has the same bytes.
  ///
  /// - Parameters:
  ///   - maximumBytes: of the whole file.
  ///   - durable: flushed to the disk before it returns.
  package func download(
    _ url: String, to path: String, expecting digest: Digest, maximumBytes: Int, durable: Bool = true
  ) async throws(TransferError) {
    let resumed = try await downloadOnce(url, to: path, expecting: digest, maximumBytes: maximumBytes, durable: durable)
    // A loss of power, or whatever, had spoiled what was continued, and it is gone now: once more, from the beginning.
    if let resumed {
      let again = try await downloadOnce(url, to: path, expecting: digest, maximumBytes: maximumBytes, durable: durable)
      guard again == nil else { throw resumed }
    }
  }

  /// - Returns: why what was continued is of no use.
  private func downloadOnce(
    _ url: String, to path: String, expecting digest: Digest, maximumBytes: Int, durable: Bool
  ) async throws(TransferError) -> TransferError? {
    let writer = try await offloadLong { () throws(TransferError) in
      try DownloadWriter(path: path, expecting: digest, maximum: maximumBytes)
    }
    // Whoever tries again at once must not find the file locked, although the thread of the transfers may hold the writer a moment longer.
    defer { writer.unlock() }
    var isResumed = writer.offset > 0
    do throws(TransferError) {
      try await fetch(url, into: writer)
    } catch {
      guard error.status == 416, writer.offset > 0 else { throw error }
      // The partial file is as long as the whole, or longer: it may be complete, else it is of no use.
      writer.restart()
      isResumed = false
      try await fetch(url, into: writer)
    }
    do throws(TransferError) {
      try await offloadLong { () throws(TransferError) in try writer.finish(durable: durable) }
      return nil
    } catch {
      guard case .digestMismatch = error, isResumed else { throw error }
      return error
    }
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
      method: "PUT", url: url, headers: headers, body: .file(reader, from: 0, count: reader.size), sink: .memory(maximum: 64 << 10),
      progress: progress)
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
