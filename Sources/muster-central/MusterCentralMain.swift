import MusterCentral
import MusterRuntime

@main
enum MusterCentralMain {
  static func main() async {
    await ServerMain(program: "muster-central", keys: CentralConfiguration.help).run { settings, defaultState, logger in
      try await CentralProgram.run(try await CentralConfiguration(settings, defaultState: defaultState), logger: logger)
    }
  }
}
