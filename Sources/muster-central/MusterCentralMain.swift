import MusterCentral
import MusterRuntime

@main
enum MusterCentralMain {
  static func main() async {
    await ServerMain(program: "muster-central", keys: CentralConfiguration.help).run(
      reading: { try await CentralConfiguration($0, defaultState: $1) },
      { configuration, logger in try await CentralProgram.run(configuration, logger: logger) })
  }
}
