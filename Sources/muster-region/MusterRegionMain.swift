import MusterRegion
import MusterServer

@main
enum MusterRegionMain {
  static func main() async {
    await ServerMain(program: "muster-region", keys: RegionConfiguration.help, verbs: [RegionSetup.verb, BrokerFiles.verb]).run(
      reading: { try await RegionConfiguration($0, defaultState: $1) },
      { configuration, logger in try await Region(configuration, logger: logger).run() })
  }
}
