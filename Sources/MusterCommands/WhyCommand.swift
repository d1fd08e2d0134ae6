import ArgumentParser
import MusterSchema

/// `muster why TASK`
struct WhyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "why", abstract: "Say what a task is waiting for, which nodes it waits for, and what went wrong in this round.")

  @OptionGroup var target: TaskArgument
  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    let answer = try await server.client().why(target.task)
    guard format.output == .table else { return try Console.show(json: answer) }
    for line in Self.lines(answer, ink: Ink(Terminal.output)) { try Console.print(line) }
  }

  static func lines(_ answer: Explanation, ink: Ink) -> [String] {
    var lines = [ink.bold(answer.sentence.withoutControlCharacters)]
    if let left = answer.closesInSeconds { lines.append("closes in \(Words.seconds(left))") }
    for (title, list) in [("waiting for", answer.waiting), ("troubles in this round", answer.troubles)] where !list.isEmpty {
      lines += ["", "\(title):"] + Table(columns: Waiting.columns, rows: list.map(\.row)).lines(ink: ink).dropFirst().map { "  \($0)" }
    }
    return lines
  }
}
