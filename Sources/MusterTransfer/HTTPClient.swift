package import Logging
import MusterSchema

/// An HTTP/1.1 client over libcurl, with one thread for all transfers and connections that are kept and reused.
///
/// It follows no redirects, speaks only http and https, and bounds every answer. By default it gives up when it cannot connect within 5 s,
/// or when no bytes move for 30 s. Cancelling the waiting task aborts the transfer. Releasing the client ends its thread.
package final class HTTPClient: Sendable {
  private let mailbox = CurlMailbox()
  private let configuration: HTTPConfiguration

  /// - Throws: ``TransferError/io(_:)`` when the thread cannot start.
  package init(
    _ configuration: HTTPConfiguration = HTTPConfiguration(), logger: Logger = Logger(label: "muster.transfer")
  ) throws(TransferError) {
    self.configuration = configuration
    try CurlThread.start(mailbox, configuration, logger)
  }

  deinit { mailbox.stop() }

  /// Sends a request and reads the answer into memory.
  ///
  /// - Throws: ``TransferError/problem(_:retryAfter:)`` for an answer of 300 or above (304 is returned).
  package func send(
    _ method: String, _ url: String, body: [UInt8]? = nil, contentType: String? = nil, headers: [(String, String)] = []
  ) async throws(TransferError) -> HTTPResponse {
    var headers = headers
    if let contentType { headers.append(("Content-Type", contentType)) }
    return try await run(
      TransferRequest(
        method: method, url: url, headers: headers, body: body.map { .bytes($0) } ?? .none,
        sink: .memory(maximum: configuration.maximumBody)))
  }

  /// Reads a JSON resource.
  package func get<T: Decodable>(_ type: T.Type = T.self, from url: String) async throws(TransferError) -> T {
    try await send("GET", url, headers: [("Accept", "application/json")]).decode(type)
  }

  /// Sends a value as JSON and reads the answer.
  package func send(
    _ method: String, _ url: String, json value: some Encodable & Sendable, headers: [(String, String)] = []
  ) async throws(TransferError) -> HTTPResponse {
    let body: [UInt8]
    do {
      body = try JSON.encode(value)
    } catch {
      throw .io("the request cannot be encoded as JSON: \(error)")
    }
    return try await send(method, url, body: body, contentType: "application/json", headers: headers)
  }

  func run(_ request: TransferRequest) async throws(TransferError) -> HTTPResponse {
    let id = mailbox.nextID()
    let result: Result<HTTPResponse, TransferError> = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        guard !Task.isCancelled, mailbox.post(.start(id: id, request, { continuation.resume(returning: $0) })) else {
          return continuation.resume(returning: .failure(.cancelled))
        }
        // A cancellation just before the start found no transfer to cancel, so cancel again.
        if Task.isCancelled { _ = mailbox.post(.cancel(id: id)) }
      }
    } onCancel: {
      _ = mailbox.post(.cancel(id: id))
    }
    return try result.get()
  }
}
