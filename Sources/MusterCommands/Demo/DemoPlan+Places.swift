import FoundationEssentials
import Glibc
import MusterSchema

extension DemoPlan {
  /// A fleet on free ports of this machine, with the devices spread evenly over the regions.
  ///
  /// - Parameters:
  ///   - checkout: the folder with the broker's configuration; `nil` uses the built-in settings.
  ///   - devices: the number of agents, which may be 0.
  init(_ executables: Executables, checkout: String?, folder: String, devices: Int, regions: Int) throws(CommandError) {
    let ports = try Loopback.freePorts(3 + 2 * regions)
    let shares = Self.share(devices, among: regions)
    let list = Self.regionNames(regions).enumerated().map { index, id in
      Region(id: id, data: ports[3 + 2 * index], ops: ports[4 + 2 * index], devices: Self.deviceNames(shares[index]))
    }
    let local = checkout.map { "\($0)/broker/local.conf" }.flatMap { FileManager.default.fileExists(atPath: $0) ? $0 : nil }
    let template = try local.map { (path) throws(CommandError) in
      String(decoding: try readFile(path, as: "the broker's configuration"), as: UTF8.self)
    }
    self.init(
      folder: folder, executables: executables, broker: ports[0], centralData: ports[1], centralOps: ports[2], regions: list,
      brokerTemplate: template ?? BrokerConfiguration.fallback, isRoot: geteuid() == 0, architecture: DemoPlaces.architecture)
  }

  /// The names `pi-1`, `pi-2` and so on.
  static func deviceNames(_ count: Int) -> [NodeID] { (0..<count).map { NodeID(unchecked: "pi-\($0 + 1)") } }
}
