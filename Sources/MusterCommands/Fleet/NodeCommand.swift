import ArgumentParser
import MusterSchema

/// `muster node …`
struct NodeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "node", abstract: "The devices of all regions.", subcommands: [NodeList.self, NodeForget.self])
}

/// `muster node forget PATH`
struct NodeForget: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "forget",
    abstract: "Forget a device, or a region, that is gone for good: its presence and its retained topics are cleared.",
    discussion: "A node that is still there announces itself again, and the command exits with an error.")

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
      throw CommandError(.usage, "\"\(path)\" is not a node: name a device as region/device, or a region")
    }
    try await server.client().forget(path)
    Console.note("\(path) is forgotten")
  }
}

/// `muster node list`
struct NodeList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Devices of all regions that answer: presence, resources, labels and what they do.")

  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    let nodes = try await server.client().nodes()
    try Console.show(nodes, as: format.output)
    if nodes.isEmpty, format.output == .table { Console.note("no device has announced itself: does muster-agent run anywhere?") }
  }
}
