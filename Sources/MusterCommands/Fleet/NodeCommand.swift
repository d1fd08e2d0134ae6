import ArgumentParser

/// `muster node …`
struct NodeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "node", abstract: "The devices of all regions.", subcommands: [NodeList.self])
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
