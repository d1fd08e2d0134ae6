import ArgumentParser
import Glibc
import MusterAgent

/// `muster-agent enroll TOKEN`
struct Enroll: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Become a member of a fleet, with a token from an operator.",
    discussion: """
      Makes this device's key, and asks the server at the token's address for a certificate. The key never leaves the device. The command can \
      be repeated: until the device is a member it continues, and afterwards it says so.

      The token can also be given in MUSTER_TOKEN, or on standard input with -.
      """)

  @Argument(help: "The token, as muster node token create shows it.")
  var token: String?
  @Option(help: "The folder for the identity (default: identity in the state folder).")
  var identity: String?
  // The root command has these flags too, and would take them from a command that declared its own.
  @OptionGroup var flags: Flags

  func run() async throws {
    do {
      let environment = AgentConfiguration.environment
      var text = token ?? environment["MUSTER_TOKEN"] ?? ""
      if text == "-" { text = readLine() ?? "" }
      let report = try await AgentEnrolment(
        token: text, id: flags.id, identity: identity, state: flags.state, environment: environment
      ).run { StandardError.write("muster-agent: \($0)") }
      print(report)
    } catch {
      StandardError.write("muster-agent: \(error)")
      throw ExitCode(3)
    }
  }
}
