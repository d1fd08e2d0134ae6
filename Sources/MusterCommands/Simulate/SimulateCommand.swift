import ArgumentParser

/// `muster simulate …`
struct SimulateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate", abstract: "Run the protocol in a simulation, without a broker, sockets or a disk, and with a virtual clock.",
    subcommands: [SimulateFaults.self])
}
