import Hummingbird
import MusterDataPlane
import MusterSchema
import MusterServer

extension Central {
  func addDataRoutes(to router: Router<RouteContext>) {
    DataPlaneRoutes(server, ledger: ledger, source: self).add(to: router)
    if let members { EnrolmentRoutes(members: members).add(to: router) }
    router.get("v1/regions/:region/forgotten") { _, context in
      let region: NodeID = try context.identifier("region")
      try context.caller.require(NodePath(region))
      return try jsonResponse(self.wishes.devices(of: region))
    }
  }

  func addOperationsRoutes(to router: Router<RouteContext>) {
    OperationsRoutes(central: self).add(to: router)
    MemberRoutes(fleet: members).add(to: router)
    BlobRoutes(source: self, state: state).add(to: router)
  }
}
