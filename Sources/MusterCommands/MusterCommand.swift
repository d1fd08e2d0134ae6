import ArgumentParser
import Glibc
import MusterSchema

/// The root command `muster`.
struct MusterCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "muster",
    abstract: "Train one model across a fleet of devices.",
    discussion: """
      Data goes to standard output, progress and errors to standard error. Color and redrawing are used only on a terminal, and NO_COLOR \
      turns color off.

      Environment: MUSTER_CENTRAL, the address of central's ops API (default \(CentralOptions.defaultAddress)).

      Exit codes: 0 success; 1 unexpected error; 2 wrong command line or task file; 3 refused by central; 4 central or the broker does not \
      answer; 5 the task failed or was cancelled; 130 interrupted.

      Completion: muster --generate-completion-script bash|zsh|fish
      """,
    version: Muster.version,
    subcommands: [
      TaskCommand.self, WhyCommand.self, RegionCommand.self, NodeCommand.self, ModelCommand.self, AggregateCommand.self,
      TailCommand.self, SimulateCommand.self, DemoCommand.self, LoadCommand.self,
    ])
}

/// The entry point for the executable.
package enum CommandLineProgram {
  /// Runs the command given by the process's arguments and ends the process.
  package static func main() async -> Never {
    let code = await run(Array(CommandLine.arguments.dropFirst()))
    exit(code)
  }

  /// Runs one command.
  ///
  /// - Returns: the exit code.
  package static func run(_ arguments: [String]) async -> Int32 {
    // If the reader of a pipe is gone, write() must return an error. SIGPIPE would end this process, which may have to stop other programs.
    signal(SIGPIPE, SIG_IGN)
    var isParsing = true
    do {
      var command = try MusterCommand.parseAsRoot(arguments)
      isParsing = false
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
      return 0
    } catch {
      let word = LastWord(error, isParsing: isParsing)
      if !word.output.isEmpty { Console.tryToPrint(word.output) }
      if !word.complaint.isEmpty { Console.note(word.complaint) }
      return word.code
    }
  }
}
