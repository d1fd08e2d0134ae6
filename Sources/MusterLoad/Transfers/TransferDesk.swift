import MusterParticipation
import MusterSchema
import MusterTransfer

/// Carries out the devices' transfers over shared connections.
struct TransferDesk: Sendable {
  private let client: HTTPClient
  private let contributions = Contributions()

  /// - Parameter connections: the number of connections to keep for reuse, equal to the number of transfers at a time.
  init(connections: Int) throws(LoadError) {
    do {
      client = try HTTPClient(HTTPConfiguration(maximumBody: 64 << 20, idleConnections: connections))
    } catch {
      throw .system("\(error)")
    }
  }

  func carryOut(_ transfer: Transfer) async -> TransferEnd {
    do throws(TransferError) {
      let outcome =
        switch transfer.kind {
        case .fetch(let address): try await fetch(transfer, from: address)
        case .upload: try await upload(transfer)
        }
      return TransferEnd(transfer: transfer, outcome: outcome, at: .now)
    } catch {
      return TransferEnd(transfer: transfer, outcome: .failed(error), at: .now)
    }
  }

  private func fetch(_ transfer: Transfer, from address: String) async throws(TransferError) -> TransferEnd.Outcome {
    let base = transfer.job.invitation.base
    try contributions.take(try await client.send("GET", address + base.path).body, as: base)
    let (bytes, _) = try contributions.body(for: transfer.job, of: transfer.path, number: transfer.device)
    return .fetched(JobResult(file: "", digest: Digest(of: bytes), bytes: bytes.count))
  }

  private func upload(_ transfer: Transfer) async throws(TransferError) -> TransferEnd.Outcome {
    let (bytes, type) = try contributions.body(for: transfer.job, of: transfer.path, number: transfer.device)
    let digest = transfer.job.result?.digest ?? Digest(of: bytes)
    var headers = [("Content-Digest", digest.contentDigest)]
    if let ticket = transfer.job.invitation.ticket { headers.append(("Authorization", "Bearer \(ticket.text)")) }
    _ = try await client.send("PUT", transfer.job.invitation.upload, body: bytes, contentType: type, headers: headers)
    return .delivered
  }
}
