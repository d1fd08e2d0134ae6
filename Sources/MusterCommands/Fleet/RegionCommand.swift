import ArgumentParser

/// `muster region …`
struct RegionCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "region", abstract: "List the regions of central, and admit new ones.", subcommands: [RegionList.self, RegionToken.self])
}

/// `muster region list`
struct RegionList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the regions that central's configuration declares, and those that have announced themselves.")

  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws { try Console.show(try await server.client().regions(), as: format.output) }
}
