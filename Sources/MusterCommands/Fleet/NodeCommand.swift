import ArgumentParser
import MusterSchema

/// `muster node …`
struct NodeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "node", abstract: "List devices and forget nodes; in a fleet with identities, admit and revoke members.",
    subcommands: [
      NodeList.self, NodeForget.self, NodeToken.self, NodePending.self, NodeAccept.self, NodeReject.self, NodeRevoke.self, NodeMove.self,
      NodeLabel.self, NodeCertificates.self,
    ])
}

/// `muster node forget PATH`
struct NodeForget: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "forget",
    abstract: "Forget a device or a region that was removed permanently: clear its presence and its retained topics.",
    discussion: """
      A device that still runs announces itself again, and the command exits with an error. A region that still runs also announces \
      itself again, but the command does not wait for that.
      """)

  @Argument(help: "The node as `muster node list` shows it: north/pi-3, or north for a region.")
  var node: String

  @OptionGroup var server: CentralOptions

  func run() async throws {
    let path: NodePath
    do {
      path = try NodePath(validating: node)
    } catch {
      throw CommandError(.usage, "\(error)")
    }
    guard path.nodes.count <= 2 else {
      throw CommandError(.usage, "\"\(path)\" is not a node; give a device as REGION/DEVICE, or a region as REGION")
    }
    try await server.client().forget(path)
    Console.note("\(path) was forgotten")
  }
}

/// `muster node list`
struct NodeList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the devices of all regions that answer, with presence, resources, labels and current work.")

  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    let nodes = try await server.client().nodes()
    try Console.show(nodes, as: format.output)
    if nodes.isEmpty, format.output == .table {
      Console.note("no device has announced itself; check that muster-agent is running on a device")
    }
  }
}
