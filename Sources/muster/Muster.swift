import MusterCommands
import MusterTrainers

@main
enum Program {
  static func main() async {
    // A rule's program is started through this one, which sets its limits.
    TrainerLaunch.performIfAsked(CommandLine.arguments)
    await CommandLineProgram.main()
  }
}
