import MusterRegion
import MusterRuntime

@main
enum MusterRegionMain {
  static func main() async {
    await ServerMain(program: "muster-region", keys: RegionConfiguration.help).run { settings, defaultState, logger in
      try await RegionProgram.run(try await RegionConfiguration(settings, defaultState: defaultState), logger: logger)
    }
  }
}
