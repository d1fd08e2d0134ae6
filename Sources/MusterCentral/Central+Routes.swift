import Hummingbird
import MusterDataPlane
import MusterSchema
import MusterServer

extension Central {
  func addDataRoutes(to router: Router<RouteContext>) {
    DataPlaneRoutes(server, ledger: ledger, source: self).add(to: router)
    router.get("v1/regions/:region/forgotten") { _, context in
      try jsonResponse(self.wishes.devices(of: try context.identifier("region")))
    }
  }

  func addOperationsRoutes(to router: Router<RouteContext>) {
    OperationsRoutes(central: self).add(to: router)
    BlobRoutes(source: self, state: state).add(to: router)
  }
}
