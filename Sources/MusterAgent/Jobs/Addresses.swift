import MusterSchema

/// The address of a phase's ledger, taken from an invitation's upload address: `…/v1/tasks/{t}/rounds/{n}/updates/{path}` without the path.
struct LedgerAddress: Hashable {
  /// The address at which the phase's ledger answers questions.
  let ledger: String
  /// The path of this node as the ledger knows it.
  let path: NodePath

  /// `nil` when the upload address does not belong to the invitation's own task, round and phase.
  init?(_ invitation: Invitation) {
    guard let server = ServerAddress(invitation.upload) else { return nil }
    let collection = invitation.phase == .train ? "updates" : "evaluations"
    let prefix = "/v1/tasks/\(invitation.task)/rounds/\(invitation.round)/\(collection)"
    // A proxy may add a prefix to the path.
    guard let range = server.path.firstRange(of: "\(prefix)/"), !server.path[range.upperBound...].contains("/v1/") else { return nil }
    do {
      path = try NodePath(validating: String(server.path[range.upperBound...]))
    } catch {
      return nil
    }
    ledger = String(invitation.upload.dropLast(path.description.count + 1))
  }
}
