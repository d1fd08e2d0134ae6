import FoundationEssentials
import MusterSchema
import MusterTaskFiles
import TestSupport
import Testing

@testable import MusterCommands

@Suite("The demo's plan")
struct DemoPlanTests {
  private func plan(template: String = BrokerConfiguration.fallback) -> DemoPlan {
    let shares = DemoPlan.share(3, among: 2)
    let regions = DemoPlan.regionNames(2).enumerated().map { index, id in
      DemoPlan.Region(
        id: id, data: 2000 + index, ops: 3000 + index, devices: (1...shares[index]).map { NodeID(unchecked: "pi-\($0)") })
    }
    return DemoPlan(
      folder: "/d/a \"b\"", executables: .init(folder: "/bin", mosquitto: "/usr/sbin/mosquitto"), broker: 1000, centralData: 1001,
      centralOps: 1002, regions: regions, data: "/data", brokerTemplate: template, isRoot: true, architecture: "x86_64")
  }

  @Test("devices are dealt evenly, and every number of regions has names")
  func sharing() {
    #expect(DemoPlan.share(8, among: 2) == [4, 4])
    #expect(DemoPlan.share(8, among: 3) == [3, 3, 2])
    #expect(DemoPlan.regionNames(5).map(\.rawValue) == ["north", "south", "east", "west", "region-5"])
  }

  @Test("a program for each, the broker first and the agents last")
  func programs() {
    #expect(
      plan().programs.map(\.name) == ["broker", "central", "north", "south", "north/pi-1", "north/pi-2", "south/pi-1"])
  }

  @Test("each device has its own part of the training set")
  func partitions() throws {
    struct Agent: Decodable {
      var id: String
      var region: String
      var state: String
      var data: Parts
      struct Parts: Decodable {
        var partition: [String: [String: Int]]
      }
    }
    let agents = try plan().programs.filter { $0.stage == .agents }.flatMap(\.files.values).map {
      try JSON.decode(Agent.self, from: $0.utf8)
    }
    #expect(agents.count == 3)
    #expect(agents.compactMap { $0.data.partition["iid"]?["index"] } == [0, 1, 2])
    #expect(agents.allSatisfy { $0.data.partition["iid"]?["of"] == 3 })
    #expect(agents.map { "\($0.region)/\($0.id)" } == ["north/pi-1", "north/pi-2", "south/pi-1"])
    #expect(agents.first?.state == "/d/a \"b\"/north-pi-1")
  }

  @Test("the servers' files are YAML, whatever the folder is called")
  func servers() throws {
    for program in plan().programs where program.stage == .servers {
      for (path, text) in program.files where path.hasSuffix(".yaml") {
        let document = try YAMLDocument(text)
        #expect(document.root[["state"]] == .string("/d/a \"b\"/\(program.name)"))
        #expect(document.root[["broker", "port"]] == .number("1000"))
      }
    }
  }

  @Test("the broker's own configuration keeps its bounds, and gets the demo's port and folder")
  func broker() {
    let template = "# comment\nlistener 1883 127.0.0.1\nallow_anonymous true\nlog_dest file /var/log/x\nmax_packet_size 131072\n"
    let text = BrokerConfiguration.text(template: template, port: 4711, folder: "/d", isRoot: true)
    let lines = text.split(separator: "\n")
    #expect(lines.filter { $0.hasPrefix("listener") } == ["listener 4711 127.0.0.1"])
    #expect(lines.contains("max_packet_size 131072") && lines.contains("allow_anonymous true"))
    #expect(lines.filter { $0.hasPrefix("log_dest") } == ["log_dest stderr"])
    #expect(lines.contains("user root"))
    #expect(!BrokerConfiguration.text(template: template, port: 1, folder: "/d", isRoot: false).contains("user root"))
  }

  @Test("free ports are all different and nobody listens there")
  func ports() throws {
    let ports = try Loopback.freePorts(20)
    #expect(Set(ports).count == 20)
    #expect(!ports.contains { Loopback.accepts($0) })
  }
}
