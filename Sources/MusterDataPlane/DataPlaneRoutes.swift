package import Hummingbird
package import MusterCoordination
package import MusterServer

/// The routes of every data listener: models, contributions, and the list of tasks.
package struct DataPlaneRoutes<M: ServerMachine>: Sendable {
  private let server: Server<M>
  private let ledger: CoordinatorLedger
  private let source: any BlobSource

  /// - Parameter source: finds the bytes of a model.
  package init(_ server: Server<M>, ledger: CoordinatorLedger, source: any BlobSource) {
    self.server = server
    self.ledger = ledger
    self.source = source
  }

  package func add(to router: Router<RouteContext>) {
    let server = server
    BlobRoutes(source: source).add(to: router)
    ContributionRoutes(ledger: ledger, source: source, state: server.state, limits: server.configuration.uploads).add(to: router)
    router.get("v1/descriptors") { _, _ in try jsonResponse(await server.shell.machine.coordinator.descriptors) }
  }
}
