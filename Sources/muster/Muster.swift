import MusterCommands
import MusterTrainers

@main
enum Program {
  static func main() async {
    // An external rule's program is started through this executable, which first sets its limits.
    TrainerLaunch.performIfAsked(CommandLine.arguments)
    await CommandLineProgram.main()
  }
}
