import MusterSchema
import MusterTaskFiles

/// The plan of a fleet on this machine, for `muster demo` and `muster load`: names, ports, folders and the text of every configuration
/// file. It is a pure value.
struct DemoPlan: Hashable, Sendable {
  /// Programs of one stage start together. Stages start in this order and stop in the opposite order.
  enum Stage: Int, Comparable, CaseIterable, Sendable {
    case broker, servers, agents
    static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
  }

  struct Program: Hashable, Sendable {
    /// The program's name, for example `broker`, `central`, `north` or `north/pi-1`.
    var name: String
    var stage: Stage
    var executable: String
    var arguments: [String]
    /// The file that receives the program's output.
    var log: String
    /// The files that the program needs, by path. They are written before it starts.
    var files: [String: String]
    /// The HTTP port at which the program answers `/healthz`, if it has one.
    var health: Int?
  }

  struct Region: Hashable, Sendable {
    var id: NodeID
    var data: Int
    var ops: Int
    var devices: [NodeID]
  }

  /// The folder of Muster's executables, and the path of the broker's executable.
  struct Executables: Hashable, Sendable {
    var folder: String
    var mosquitto: String
  }

  var folder: String
  var executables: Executables
  var broker: Int
  var centralData: Int
  var centralOps: Int
  var regions: [Region]
  /// The folder of the training and test files; `nil` when there are none, so that central does not evaluate.
  var data: String?
  /// The broker's configuration without its port.
  var brokerTemplate: String
  var isRoot: Bool
  /// The value of the label `arch` of every device.
  var architecture: String
  /// The log level of the servers.
  var logLevel = "info"
  /// The requests per second that a server accepts from one address; `nil` keeps the server's default, 0 removes the limit.
  var requestsPerSecond: Int?

  var central: String { "http://127.0.0.1:\(centralOps)" }
  var devices: Int { regions.reduce(0) { $0 + $1.devices.count } }

  /// Names for `count` regions.
  static func regionNames(_ count: Int) -> [NodeID] {
    let compass = ["north", "south", "east", "west"]
    return (0..<count).map { NodeID(unchecked: $0 < compass.count ? compass[$0] : "region-\($0 + 1)") }
  }

  /// The number of devices in each region, spread as evenly as possible.
  static func share(_ devices: Int, among regions: Int) -> [Int] {
    (0..<regions).map { devices / regions + ($0 < devices % regions ? 1 : 0) }
  }

  var programs: [Program] {
    var programs = [brokerProgram, centralProgram]
    var index = 0
    for region in regions {
      programs.append(program(region))
      for device in region.devices {
        programs.append(program(device, of: region, index: index))
        index += 1
      }
    }
    return programs.sorted { $0.stage < $1.stage }
  }

  private func log(_ name: String) -> String { "\(folder)/logs/\(name).log" }
  private func text(_ path: String) -> String { OrderedJSON.quote(path) }

  private var brokerProgram: Program {
    let file = "\(folder)/mosquitto.conf"
    let configuration = BrokerConfiguration.text(template: brokerTemplate, port: broker, folder: folder, isRoot: isRoot)
    return Program(
      name: "broker", stage: .broker, executable: executables.mosquitto, arguments: ["-c", file], log: log("broker"),
      files: [file: configuration])
  }

  private var centralProgram: Program {
    let file = "\(folder)/central.yaml"
    let test = "\(folder)/central-data.json"
    var files: [String: String] = [:]
    if let data {
      let set =
        #"{"format":"idx","images":\#(text("\(data)/t10k-images-idx3-ubyte.gz")),"labels":\#(text("\(data)/t10k-labels-idx1-ubyte.gz"))}"#
      files[test] = set + "\n"
    }
    let yaml = """
      state: \(text("\(folder)/central"))
      broker:
        host: 127.0.0.1
        port: \(broker)
      data:
        host: 127.0.0.1
        port: \(centralData)\(limits)
      ops:
        host: 127.0.0.1
        port: \(centralOps)
      regions: [\(regions.map(\.id.rawValue).joined(separator: ", "))]
      trainers: [built-in]
      trainer:
        built-in:
          command: [\(text("\(executables.folder)/muster-train")), --resident]
          resident: true\(data == nil ? "" : "\ntestData: \(text(test))")
      log:
        level: \(logLevel)

      """
    files[file] = yaml
    return Program(
      name: "central", stage: .servers, executable: "\(executables.folder)/muster-central", arguments: ["--config", file],
      log: log("central"), files: files, health: centralOps)
  }

  /// The lines below `data` in a server's configuration that set its limits.
  private var limits: String { requestsPerSecond.map { "\n  limits:\n    requestsPerSecond: \($0)" } ?? "" }

  private func program(_ region: Region) -> Program {
    let file = "\(folder)/\(region.id).yaml"
    let yaml = """
      id: \(region.id)
      state: \(text("\(folder)/\(region.id)"))
      broker:
        host: 127.0.0.1
        port: \(broker)
      centralBroker:
        host: 127.0.0.1
        port: \(broker)
      data:
        host: 127.0.0.1
        port: \(region.data)\(limits)
      ops:
        host: 127.0.0.1
        port: \(region.ops)
      log:
        level: \(logLevel)

      """
    return Program(
      name: region.id.rawValue, stage: .servers, executable: "\(executables.folder)/muster-region", arguments: ["--config", file],
      log: log(region.id.rawValue), files: [file: yaml], health: region.ops)
  }

  /// - Parameter index: the number of the training set's partition that the device uses.
  private func program(_ device: NodeID, of region: Region, index: Int) -> Program {
    let name = "\(region.id)-\(device)"
    let file = "\(folder)/\(name).json"
    let json = """
      {
        "id": "\(device)",
        "region": "\(region.id)",
        "state": \(text("\(folder)/\(name)")),
        "broker": {"host": "127.0.0.1", "port": \(broker)},
        "labels": {"arch": "\(architecture)", "site": "\(region.id)"},
        "trainers": {"built-in": {"command": [\(text("\(executables.folder)/muster-train")), "--resident"], "resident": true}},
        "data": {
          "format": "idx",
          "images": \(text("\(data ?? "")/train-images-idx3-ubyte.gz")),
          "labels": \(text("\(data ?? "")/train-labels-idx1-ubyte.gz")),
          "partition": {"iid": {"of": \(devices), "index": \(index), "seed": 1}}
        },
        "policy": {},
        "log": {"level": "info"}
      }

      """
    return Program(
      name: "\(region.id)/\(device)", stage: .agents, executable: "\(executables.folder)/muster-agent", arguments: ["--config", file],
      log: log(name), files: [file: json])
  }

  /// Commands to try in another terminal while the fleet stays up.
  func hints(_ task: TaskID) -> [String] {
    let muster = "\(executables.folder)/muster"
    return [
      "mosquitto_sub -p \(broker) -v -t 'muster/v1/#'", "curl -s \(central)/v1/tasks", "export MUSTER_CENTRAL=\(central)",
      "\(muster) task show \(task)", "\(muster) node list", "\(muster) task push examples/digits/task.yaml --watch", "\(muster) tail",
    ]
  }
}

/// The configuration of the fleet's broker.
enum BrokerConfiguration {
  /// The template, which is `broker/local.conf` or the built-in settings, with the fleet's own port and folder.
  static func text(template: String, port: Int, folder: String, isRoot: Bool) -> String {
    // The plan sets the listener, the output files and the user. All other settings come from the template.
    let own = ["listener", "port", "bind_address", "persistence_location", "pid_file", "log_dest", "user"]
    var lines = ["listener \(port) 127.0.0.1"]
    for line in template.split(separator: "\n", omittingEmptySubsequences: false) {
      let key = line.split(separator: " ", maxSplits: 1).first.map(String.init) ?? ""
      if !own.contains(key) { lines.append(String(line)) }
    }
    lines += ["log_dest stderr", "persistence_location \(folder)/"]
    // If root starts mosquitto, it switches to another user, who may not be able to read the folder.
    if isRoot { lines.append("user root") }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The settings for an installed program without a checkout.
  static let fallback = """
    allow_anonymous true
    persistence false
    per_listener_settings false
    set_tcp_nodelay true
    max_packet_size 131072
    max_queued_messages 10000
    """
}
