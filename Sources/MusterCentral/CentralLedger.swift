import MusterCoordination
import MusterDataPlane
import MusterSchema
import MusterServer
import MusterStorage

extension Central {
  /// Central as the ledger of what devices, or regions that aggregate, upload to it.
  var ledger: CoordinatorLedger {
    CoordinatorLedger(
      machine: { await self.shell.machine }, store: state.store, replies: performer.replies, post: { self.shell.mailbox.offer($0) },
      grant: { run, path in Grant(secret: self.state.secretKey, task: run.id).descendant(path) },
      maximumBytes: configuration.maximumBytes)
  }
}

extension Central: BlobSource {
  func locate(_ digest: Digest) async throws(Problem) -> String {
    guard let path = state.path(of: digest) else {
      throw Problem(.unknownBlob, "central holds no blob \(digest): it never did, or retention collected it")
    }
    return path
  }
}
