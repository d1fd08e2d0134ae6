import TestSupport

/// The programs of a fleet, and the contents of their configuration files, as a pure value.
struct FleetPlan: Sendable {
  var regions = ["north", "south"]
  /// Devices are assigned to the regions in turn: `pi-1` to the first, `pi-2` to the second. Each has an equal share of the digits.
  var devices = 6
  /// The sample range of each device; `nil` gives equal shares.
  var ranges: [Range<Int>]?
  /// Devices of the plan that start only when a test starts them.
  var late: Set<String> = []
  /// Additional trainers by device: members of the object `trainers`, as JSON.
  var trainers: [String: String] = [:]
  /// Central's trainer `own` as YAML; `nil` uses the built-in trainer under that name.
  var centralTrainer: String?
  /// A program that tasks may use as their combiner, under the name `mine`.
  var rule: [String] = []
  /// Environment variables of all programs.
  var environment: [String: String] = [:]
  /// Whether central has its own test set.
  var evaluates = true
  var broker = BrokerProcess.Options()

  struct Device: Hashable, Sendable {
    var id: String
    var region: String
    var index: Int
    var path: String { "\(region)/\(id)" }
  }

  var deviceList: [Device] {
    (0..<devices).map { Device(id: "pi-\($0 + 1)", region: regions[$0 % regions.count], index: $0) }
  }
}

/// The files and ports of a running fleet.
struct FleetPlaces: Sendable {
  struct Listener: Sendable {
    var data: Int
    var ops: Int
  }

  var folder: String
  var executables: String
  var digits: String
  var broker: Int
  var central: Listener
  var regions: [String: Listener]

  var gate: String { "\(folder)/gate" }
  func executable(_ name: String) -> String { "\(executables)/\(name)" }
  func configuration(_ program: String) -> String {
    "\(folder)/\(program).\(program == "central" || regions[program] != nil ? "yaml" : "json")"
  }
  func log(_ program: String) -> String { "\(folder)/logs/\(program).log" }
  func state(_ program: String) -> String { "\(folder)/state/\(program)" }
}

extension FleetPlan {
  /// The contents of all configuration files by path.
  func files(_ places: FleetPlaces) -> [String: String] {
    var files = [
      places.configuration("central"): central(places),
      "\(places.folder)/test-data.json": """
      {"format": "idx", "images": "\(places.digits)/t10k-images-idx3-ubyte.gz", "labels": "\(places.digits)/t10k-labels-idx1-ubyte.gz"}
      """,
      "\(places.folder)/gated-trainer": Gate.script,
    ]
    for region in regions { files[places.configuration(region)] = self.region(region, places) }
    for device in deviceList { files[places.configuration(device.id)] = agent(device, places) }
    return files
  }

  private func central(_ places: FleetPlaces) -> String {
    """
    state: \(places.state("central"))
    broker: {host: 127.0.0.1, port: \(places.broker)}
    data: {host: 127.0.0.1, port: \(places.central.data)}
    ops: {host: 127.0.0.1, port: \(places.central.ops)}
    regions: [\(regions.joined(separator: ", "))]
    trainers: [built-in, gated, own]
    trainer:
      built-in: {command: [\(places.executable("muster-train")), --resident]}
      gated: {command: [\(places.executable("muster-train")), --resident]}
      own: \(centralTrainer ?? "{command: [\(places.executable("muster-train")), --resident]}")
    \(evaluates ? "testData: test-data.json" : "")
    \(rule.isEmpty ? "" : "rules: [mine]\nrule: {mine: {command: [\(rule.joined(separator: ", "))]}}")
    maximumMiB: 2
    log: {level: info}
    """
  }

  private func region(_ id: String, _ places: FleetPlaces) -> String {
    let listener = places.regions[id] ?? .init(data: 0, ops: 0)
    return """
      id: \(id)
      state: \(places.state(id))
      broker: {host: 127.0.0.1, port: \(places.broker)}
      data: {host: 127.0.0.1, port: \(listener.data)}
      ops: {host: 127.0.0.1, port: \(listener.ops)}
      log: {level: info}
      """
  }

  private func agent(_ device: Device, _ places: FleetPlaces) -> String {
    let more = trainers[device.id].map { ",\n    \($0)" } ?? ""
    let gated = ["/bin/sh", "\(places.folder)/gated-trainer", places.gate, device.id, places.executable("muster-train")]
    return """
      {
        "id": "\(device.id)",
        "region": "\(device.region)",
        "state": "\(places.state(device.id))",
        "broker": {"host": "127.0.0.1", "port": \(places.broker)},
        "labels": {"site": "\(device.region)"},
        "trainers": {
          "built-in": {"command": ["\(places.executable("muster-train"))", "--resident"], "resident": true},
          "gated": {"command": [\(gated.map { "\"\($0)\"" }.joined(separator: ", "))]}\(more)
        },
        "data": \(data(device, places)),
        "policy": {"maxLoad": 10000},
        "log": {"level": "info"}
      }
      """
  }

  /// A device's data configuration, as its agent passes it to the trainer.
  func data(_ device: Device, _ places: FleetPlaces) -> String {
    let share =
      if let range = ranges?[device.index] {
        #"{"range": {"from": \#(range.lowerBound), "to": \#(range.upperBound)}}"#
      } else {
        #"{"iid": {"of": \#(devices), "index": \#(device.index), "seed": 1}}"#
      }
    return """
      {"format": "idx", "images": "\(places.digits)/train-images-idx3-ubyte.gz", "labels": "\(places.digits)/train-labels-idx1-ubyte.gz",
       "partition": \(share)}
      """
  }
}
