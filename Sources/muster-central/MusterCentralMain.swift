import MusterCentral
import MusterServer
import MusterTrainers

@main
enum MusterCentralMain {
  static func main() async {
    TrainerLaunch.performIfAsked(CommandLine.arguments)
    await ServerMain(program: "muster-central", keys: CentralConfiguration.help, verbs: [CentralSetup.verb, BrokerFiles.verb]).run(
      reading: { try await CentralConfiguration($0, defaultState: $1) },
      { configuration, logger in try await Central(configuration, logger: logger).run() })
  }
}
