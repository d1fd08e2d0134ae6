import MusterGround
package import MusterSchema

extension HTTPClient {
  /// Downloads a blob to a file, which appears only when it is complete and its digest matches.
  ///
  /// The partial file of an interrupted download is continued with a range request, if the server still has the same bytes.
  ///
  /// - Parameters:
  ///   - maximumBytes: the largest size of the whole file.
  ///   - durable: whether the file is flushed to the disk before the function returns.
  package func download(
    _ url: String, to path: String, expecting digest: Digest, maximumBytes: Int, durable: Bool = true
  ) async throws(TransferError) {
    let resumed = try await downloadOnce(url, to: path, expecting: digest, maximumBytes: maximumBytes, durable: durable)
    // A partial file that was continued had been damaged, for example by a loss of power. It is removed now: download the whole blob.
    if let resumed {
      let again = try await downloadOnce(url, to: path, expecting: digest, maximumBytes: maximumBytes, durable: durable)
      guard again == nil else { throw resumed }
    }
  }

  /// - Returns: `nil` on success, or the digest error of a download that had continued a partial file.
  private func downloadOnce(
    _ url: String, to path: String, expecting digest: Digest, maximumBytes: Int, durable: Bool
  ) async throws(TransferError) -> TransferError? {
    let writer = try await offloadLong { () throws(TransferError) in
      try DownloadWriter(path: path, expecting: digest, maximum: maximumBytes)
    }
    // The transfer thread may hold the writer a moment longer. Unlock now, so that a caller that tries again at once can take the lock.
    defer { writer.unlock() }
    var isResumed = writer.offset > 0
    do throws(TransferError) {
      try await fetch(url, into: writer)
    } catch {
      guard error.status == 416, writer.offset > 0 else { throw error }
      // 416: the partial file is as long as the blob or longer, so the server has nothing to add. Start over.
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
    // An empty body never reached the writer, so it still holds the partial bytes.
    if response.status == 200, offset > 0, writer.offset == offset { writer.restart() }
  }

  /// Uploads a file as a stream, with its digest in a header.
  ///
  /// - Parameter progress: called on the client's thread after each piece with the bytes sent and the total. It must return at once.
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

  /// Uploads a whole file, see ``upload(_:to:ticket:digest:contentType:progress:)``.
  @discardableResult
  package func upload(
    file: String, to url: String, ticket: Ticket?, digest: Digest, contentType: String = "application/octet-stream",
    progress: (@Sendable (_ sent: Int64, _ total: Int64) -> Void)? = nil
  ) async throws(TransferError) -> Int {
    try await upload(UploadSource(file: file), to: url, ticket: ticket, digest: digest, contentType: contentType, progress: progress)
  }
}
