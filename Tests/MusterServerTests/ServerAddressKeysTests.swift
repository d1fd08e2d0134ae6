import MusterMQTT
import MusterSchema
import TestSupport
import Testing

@testable import MusterServer

/// The configuration keys of a server that contain addresses.
@Suite struct ServerAddressKeysTests {
  private func settings(_ arguments: [String]) async throws -> ServerSettings {
    try await ServerSettings(arguments: ["muster-central"] + arguments, environment: [:], defaultFile: "/nowhere/central.yaml")
  }

  private func listener(_ arguments: String...) async throws -> ListenerConfiguration {
    try await ListenerConfiguration(try await settings(arguments), "ops", host: "127.0.0.1", port: 7401, checksNames: true)
  }

  private func complaint(_ arguments: String...) async throws -> String {
    do {
      _ = try await ListenerConfiguration(try await settings(arguments), "ops", host: "127.0.0.1", port: 7401, checksNames: true)
      _ = try await MQTTConfiguration(try await settings(arguments), "broker", clientID: "x")
      return "nothing"
    } catch let error as ConfigurationError {
      return "\(error)"
    }
  }

  @Test("An IPv6 address is taken in both spellings, bound without brackets and told with them", arguments: ["::1", "[::1]"])
  func spelling(host: String) async throws {
    let listener = try await listener("--ops-host", host)
    #expect(listener.host == "::1")
    #expect(listener.advertise == "http://[::1]:7401")
    let broker = try await MQTTConfiguration(try await settings(["--broker-host", host]), "broker", clientID: "x")
    #expect(broker.host == "::1")
    #expect(broker.address == "[::1]:1883")
    #expect("\(broker)".contains("mqtt://[::1]:1883"))
  }

  @Test("Every address of the machine is told as one of them", arguments: ["0.0.0.0", "::", "[::]"])
  func anyAddress(host: String) async throws {
    #expect(try await listener("--ops-host", host).advertise == "http://127.0.0.1:7401")
  }

  @Test("The names of a listener are its host, what it advertises, and those that are listed")
  func names() async throws {
    let listener = try await listener("--ops-advertise", "https://Muster.Example/central/", "--ops-hosts", "hub,[2001:db8::5]")
    #expect(listener.advertise == "https://muster.example/central")
    let names = Set(try #require(listener.names).map { "\($0)" })
    #expect(names.isSuperset(of: ["muster.example", "127.0.0.1", "hub", "[2001:db8::5]"]))
  }

  @Test(
    "What can be no address is refused at the start, by its key",
    arguments: [
      (["--ops-host", "256.1.1.1"], "ops.host"), (["--ops-host", "127.0.0.1:80"], "ops.host"),
      (["--broker-host", "mqtt://hub"], "broker.host"),
      (["--broker-host", "a b"], "broker.host"), (["--broker-host", "hub:1883"], "broker.host"),
      (["--ops-advertise", "hub:7401"], "ops.advertise"), (["--ops-advertise", "http://user:secret@hub"], "ops.advertise"),
      (["--ops-advertise", "http://hub?x=1"], "ops.advertise"), (["--ops-advertise", "http://hub/#x"], "ops.advertise"),
      (["--ops-advertise", "http://::1:7401"], "ops.advertise"), (["--ops-hosts", "a b"], "ops.hosts"),
    ])
  func refused(arguments: [String], key: String) async throws {
    let said = try await complaint(arguments[0], arguments[1])
    #expect(said.hasPrefix("configuration: \(key): "), "\(said)")
    #expect(!said.contains("secret"))
  }
}
