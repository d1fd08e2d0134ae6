import MusterCommands

@main
enum Program {
  static func main() async { await CommandLineProgram.main() }
}
