package import MusterSchema
import Synchronization

/// An upload in parts that can be interrupted and continued.
package struct ResumableUpload: Sendable {
  package var source: UploadSource
  /// The address of the contribution. The upload's own address is this one with `?digest=…`.
  package var url: String
  package var ticket: Ticket?
  /// The digest of the whole body.
  package var digest: Digest
  package var contentType: String
  /// The size of a part in bytes, which is the most that an interruption costs.
  package var partBytes: Int
  /// Whether an earlier attempt, perhaps of an earlier process, may have left bytes at the server. If so, the server is asked first.
  package var resumes: Bool
  /// Called on the client's thread after each piece was handed to the system. It must return at once.
  package var sent: (@Sendable (_ bytes: Int) -> Void)?
  /// Called when the server has reported how many bytes it has.
  package var acknowledged: (@Sendable (_ offset: Int, _ total: Int) async -> Void)?

  package init(
    _ source: UploadSource, to url: String, ticket: Ticket?, digest: Digest, contentType: String = "application/octet-stream",
    partBytes: Int = 1 << 20, resumes: Bool = false, sent: (@Sendable (_ bytes: Int) -> Void)? = nil,
    acknowledged: (@Sendable (_ offset: Int, _ total: Int) async -> Void)? = nil
  ) {
    self.source = source
    self.url = url
    self.ticket = ticket
    self.digest = digest
    self.contentType = contentType
    self.partBytes = partBytes
    self.resumes = resumes
    self.sent = sent
    self.acknowledged = acknowledged
  }
}

extension HTTPClient {
  /// Uploads a file in parts, each of which the server acknowledges. An interruption therefore costs one part, however long connections and
  /// proxies on the way hold bytes back. A file of one part is sent as a plain PUT.
  ///
  /// Follows draft-ietf-httpbis-resumable-upload-12, "upload as a series of parts". It does not retry: call it again, with `resumes`.
  ///
  /// - Returns: the status, 200 or 201.
  @discardableResult
  package func upload(_ upload: ResumableUpload) async throws(TransferError) -> Int {
    let reader = try UploadReader(upload.source)
    let total = Int(reader.size)
    guard total > upload.partBytes else {
      let counter = UploadCounter(upload.sent)
      return try await self.upload(
        upload.source, to: upload.url, ticket: upload.ticket, digest: upload.digest, contentType: upload.contentType,
        progress: { sent, _ in counter.now(sent) })
    }
    var start = 0
    if upload.resumes {
      guard let offset = try await offset(of: upload, total) else { return 200 }
      start = offset
    }
    do throws(TransferError) {
      return try await sendParts(of: upload, reader, from: start)
    } catch {
      // A loss of power damaged the bytes of the earlier attempt, and the server has dropped them.
      guard start > 0, error.problem?.code == .wrongDigest else { throw error }
      return try await sendParts(of: upload, reader, from: 0)
    }
  }

  /// The number of bytes that the server has; `nil` when the contribution is accepted already.
  private func offset(of upload: ResumableUpload, _ total: Int) async throws(TransferError) -> Int? {
    let answer = try await send("HEAD", upload.address, headers: upload.authorization)
    if answer["upload-complete"] == "?1" { return nil }
    guard let offset = answer.uploadOffset(upTo: total) else {
      throw .io("the server does not report the progress of the upload (Upload-Offset)")
    }
    await upload.acknowledged?(offset, total)
    return offset
  }

  private func sendParts(of upload: ResumableUpload, _ reader: UploadReader, from start: Int) async throws(TransferError) -> Int {
    let total = Int(reader.size)
    var offset = start
    var corrections = 0
    while true {
      let end = min(total, offset + upload.partBytes)
      let answer = try await run(upload.part(reader, offset..<end, total))
      if answer.status != 409, end == total || answer["upload-complete"] == "?1" { return answer.status }
      guard let next = answer.uploadOffset(upTo: total) else {
        throw .io("the server does not report the progress of the upload (Upload-Offset)")
      }
      if answer.status == 409 || next <= offset {
        // The server has more or fewer bytes than it said: another request of this client was still in progress, or it lost data.
        corrections += 1
        guard corrections <= 3 else { throw .io("the server keeps reporting different offsets of the upload") }
      }
      offset = next
      await upload.acknowledged?(offset, total)
    }
  }
}

extension ResumableUpload {
  fileprivate var address: String { "\(url)?digest=\(digest)" }

  fileprivate var authorization: [(String, String)] { ticket.map { [("Authorization", "Bearer \($0.text)")] } ?? [] }

  fileprivate func part(_ reader: UploadReader, _ range: Range<Int>, _ total: Int) -> TransferRequest {
    var headers = authorization
    headers.append(("Upload-Complete", range.upperBound == total ? "?1" : "?0"))
    if range.lowerBound == 0 {
      headers += [("Content-Type", contentType), ("Upload-Length", "\(total)"), ("Repr-Digest", digest.contentDigest)]
    } else {
      headers += [("Content-Type", "application/partial-upload"), ("Upload-Offset", "\(range.lowerBound)")]
    }
    let counter = UploadCounter(sent)
    return TransferRequest(
      method: range.lowerBound == 0 ? "PUT" : "PATCH", url: range.lowerBound == 0 ? url : address, headers: headers,
      body: .file(reader, from: Int64(range.lowerBound), count: Int64(range.count)), sink: .memory(maximum: 64 << 10), repeats: false,
      progress: { sent, _ in counter.now(sent) })
  }
}

extension HTTPResponse {
  fileprivate func uploadOffset(upTo total: Int) -> Int? {
    self["upload-offset"].flatMap { Int($0) }.flatMap { (0...total).contains($0) ? $0 : nil }
  }
}

/// Converts "bytes of this request sent so far" into "bytes sent since the last call".
private final class UploadCounter: Sendable {
  private let report: (@Sendable (Int) -> Void)?
  private let last = Mutex<Int64>(0)

  init(_ report: (@Sendable (Int) -> Void)?) { self.report = report }

  func now(_ sent: Int64) {
    guard let report else { return }
    // The count starts at zero again when libcurl replaces a dead connection.
    let more = last.withLock { last in
      defer { last = sent }
      return sent >= last ? sent - last : sent
    }
    if more > 0 { report(Int(more)) }
  }
}
