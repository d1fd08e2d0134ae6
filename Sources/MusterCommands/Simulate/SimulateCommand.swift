import ArgumentParser

/// `muster simulate …`
struct SimulateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate", abstract: "Run the protocol in a simulated world: no broker, no sockets, no disk, a clock of its own.",
    subcommands: [SimulateFaults.self])
}
