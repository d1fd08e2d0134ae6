import ArgumentParser
import FoundationEssentials
import MusterSchema

/// The option `--output`, which every verb has.
struct OutputOptions: ParsableArguments {
  @Option(name: .long, help: "The output format: table for people, json for programs.")
  var output: OutputFormat = .table
}

enum OutputFormat: String, ExpressibleByArgument, CaseIterable, Sendable { case table, json }

/// The option `--central`, for every verb that sends requests to central.
struct CentralOptions: ParsableArguments {
  static let defaultAddress = "http://127.0.0.1:7401"

  @Option(name: .long, help: ArgumentHelp("Central's ops address (default: MUSTER_CENTRAL, or \(defaultAddress)).", valueName: "url"))
  var central: String?

  func client() throws(CommandError) -> OpsClient {
    let variable = ProcessInfo.processInfo.environment["MUSTER_CENTRAL"].flatMap { $0.isEmpty ? nil : $0 }
    return try OpsClient(central: central ?? variable ?? Self.defaultAddress)
  }
}

/// The argument that names the task.
struct TaskArgument: ParsableArguments {
  @Argument(help: "The task's id, as `muster task list` shows it.", transform: identifier)
  var task: TaskID
}

/// Parses an identifier from the command line. The argument parser shows the reason of an error.
@Sendable func identifier<ID: Identifier>(_ text: String) throws -> ID {
  do {
    return try ID(validating: text)
  } catch {
    throw ValidationError(error.description)
  }
}
