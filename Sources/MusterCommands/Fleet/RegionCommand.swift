import ArgumentParser

/// `muster region …`
struct RegionCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "region", abstract: "The regions of central.", subcommands: [RegionList.self])
}

/// `muster region list`
struct RegionList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Regions that central's configuration declares, and those that announce themselves.")

  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws { try Console.show(try await server.client().regions(), as: format.output) }
}
