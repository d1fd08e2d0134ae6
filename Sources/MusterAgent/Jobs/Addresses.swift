import MusterSchema

/// Where a contribution goes, and so where its ledger can be asked: `…/v1/tasks/{t}/rounds/{n}/updates/{path}` without the path.
struct LedgerAddress: Hashable {
  /// The phase's ledger.
  let ledger: String
  /// This node, as the ledger knows it.
  let path: NodePath

  /// Nil when the invitation's upload address is not that of its own task, round and phase.
  init?(_ invitation: Invitation) {
    guard let server = ServerAddress(invitation.upload) else { return nil }
    let collection = invitation.phase == .train ? "updates" : "evaluations"
    let prefix = "/v1/tasks/\(invitation.task)/rounds/\(invitation.round)/\(collection)"
    // A proxy may put something in front.
    guard let range = server.path.firstRange(of: "\(prefix)/"), !server.path[range.upperBound...].contains("/v1/") else { return nil }
    do {
      path = try NodePath(validating: String(server.path[range.upperBound...]))
    } catch {
      return nil
    }
    ledger = String(invitation.upload.dropLast(path.description.count + 1))
  }
}
