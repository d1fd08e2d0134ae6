import MusterSchema
import MusterTrainers
import TestSupport
import Testing

@testable import MusterAgent

@Suite struct ConfigurationTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func load(
    _ json: String, flags: AgentFlags = [:], environment: [String: String] = [:]
  ) throws -> (configuration: AgentConfiguration, report: String) {
    try AgentConfiguration.load(file: try folder.write(json, to: "agent.json"), flags: flags, environment: environment)
  }

  /// The error for a wrong configuration.
  private func complaint(_ json: String, flags: AgentFlags = [:], environment: [String: String] = [:]) throws -> String {
    do {
      _ = try load(json, flags: flags, environment: environment)
      return "nothing"
    } catch let error as AgentConfigurationError {
      return "\(error)".replacing(folder.path, with: "")
    }
  }

  private let small = #"{"id":"pi-1","region":"north"}"#

  @Test("A flag wins over the environment, that over the file, that over the default")
  func order() throws {
    let json = #"{"id":"pi-1","region":"north","state":"/file","broker":{"host":"file","port":1},"policy":{"maxLoad":1}}"#
    let environment = ["MUSTER_STATE": "/environment", "MUSTER_POLICY_MAX_LOAD": "2.5", "MUSTER_BROKER_HOST": "environment"]
    let flags: AgentFlags = ["state": ("--state", "/flag")]
    let configuration = try load(json, flags: flags, environment: environment).configuration
    #expect(configuration.state == "/flag")
    #expect(configuration.broker.host == "environment")
    #expect(configuration.broker.port == 1)
    #expect(configuration.policy.maxLoad == 2.5)
    #expect(configuration.probe.seconds == 10)
  }

  @Test("Host and port in one win over the two keys")
  func broker() throws {
    let json = #"{"id":"pi-1","region":"north","broker":{"host":"file","port":1}}"#
    let configuration = try load(json, environment: ["MUSTER_BROKER": "10.0.0.5:1884"]).configuration
    #expect(configuration.broker.host == "10.0.0.5")
    #expect(configuration.broker.port == 1884)
  }

  @Test("An IPv6 broker is taken in both spellings, and what can be no address is refused by its key")
  func addresses() throws {
    for host in ["::1", "[::1]"] {
      #expect(try load(#"{"id":"pi-1","region":"north","broker":{"host":"\#(host)"}}"#).configuration.broker.host == "::1")
    }
    let both = try load(small, environment: ["MUSTER_BROKER": "[2001:db8::5]:1884"]).configuration.broker
    #expect(both.host == "2001:db8::5" && both.port == 1884)
    for host in ["a b", "256.1.1.1", "mqtt://hub", "hub:1883", "[hub]"] {
      let said = try complaint(#"{"id":"pi-1","region":"north","broker":{"host":"\#(host)"}}"#)
      #expect(said.contains("broker.host") && said.contains("is not a host"), "\(said)")
    }
    for both in ["hub", "hub:0", "::1:x", "[::1]", ":1883"] {
      #expect(try complaint(small, environment: ["MUSTER_BROKER": both]).contains("must be HOST:PORT"), "\(both)")
    }
    let hosts = try complaint(#"{"id":"pi-1","region":"north","policy":{"uploadHosts":["http://hub"]}}"#)
    #expect(hosts.contains("policy.uploadHosts") && hosts.contains("is not a host"), "\(hosts)")
  }

  @Test("A time that no clock can hold is refused", arguments: ["idleSeconds", "graceSeconds", "timeoutSeconds"])
  func hugeTimes(key: String) throws {
    for value in ["1e300", "1e10", "-1", "9223372036854775807"] {
      let json = #"{"id":"pi-1","region":"north","trainers":{"mine":{"command":["x"],"\#(key)":\#(value)}}}"#
      #expect(try complaint(json).contains("between 0 and 1000000000"), "\(value)")
    }
  }

  @Test("A name that is given twice in an object is refused")
  func twice() throws {
    #expect(try complaint(#"{"id":"pi-1","region":"north","policy":{"maxLoad":1,"maxLoad":2}}"#).contains("\"maxLoad\" is given twice"))
  }

  @Test("Relative paths in the file start from its folder, and each identity has a state folder of its own")
  func paths() throws {
    let json = #"{"id":"pi-1","region":"north","state":"here","broker":{"authorityFile":"ca.pem"}}"#
    let configuration = try load(json).configuration
    #expect(configuration.state == folder.file("here"))
    #expect(configuration.broker.authorityFile == folder.file("ca.pem"))
    #expect(try load(json, environment: ["MUSTER_STATE": "there"]).configuration.state == "there")
    #expect(try load(small).configuration.state.hasSuffix("/muster/agent/north/pi-1"))
  }

  @Test("The smallest file has the built-in trainer and the device's own labels")
  func smallest() throws {
    let configuration = try load(small).configuration
    #expect(configuration.trainers["built-in"]?.command == ["muster-train", "--resident"])
    #expect(configuration.trainers["built-in"]?.folder == folder.path)
    #expect(configuration.labels["os"] == "linux")
    #expect(configuration.labels["arch"]?.isEmpty == false)
  }

  @Test("A trainer's relative program lies beside the configuration file, a bare name does not")
  func trainerPaths() throws {
    let json = #"{"id":"a","region":"b","threads":3,"trainers":{"mine":{"command":["./train.sh","-v"]},"other":{"command":["python3"]}}}"#
    let trainers = try load(json).configuration.trainers
    #expect(trainers["mine"]?.command == ["\(folder.path)/./train.sh", "-v"])
    #expect(trainers["mine"]?.threads == 3)
    #expect(trainers["other"]?.command == ["python3"])
  }

  @Test(
    "Every mistake is named with its key and its place",
    arguments: [
      (#"{"region":"north"}"#, "configuration: id: is missing; set it in /agent.json, with the variable MUSTER_ID or with --id"),
      (
        #"{"id":"a/b","region":"north"}"#,
        "configuration: id (/agent.json): node id \"a/b\" must be 1 to 63 characters of a-z, 0-9 and -, and start with a letter or a digit"
      ),
      (
        #"{"id":"central","region":"north"}"#,
        "configuration: id (/agent.json): must not be \"central\", which is the root coordinator's id"
      ),
      (
        #"{"id":"a","region":"b","broker":{"port":70000}}"#,
        "configuration: broker.port (/agent.json): must be a number from 1 to 65535, not 70000"
      ),
      (
        #"{"id":"a","region":"b","broker":{"port":"1883"}}"#,
        "configuration: broker.port (/agent.json): must be a number from 1 to 65535, not 1883"
      ),
      (
        #"{"id":"a","region":"b","broker":{"password":"x"}}"#,
        "configuration: broker.username: is missing: a password needs a user name"
      ),
      (
        #"{"id":"a","region":"b","policy":{"hours":"22"}}"#,
        "configuration: policy.hours (/agent.json): must be hours of the day, such as 22-6 or 12:30-14,22-6"
      ),
      (
        #"{"id":"a","region":"b","policy":{"trainers":["mine"]}}"#,
        "configuration: policy.trainers (/agent.json): the trainer \"mine\" is not configured; configured trainers: built-in"
      ),
      (
        #"{"id":"a","region":"b","trainers":{"mine":{"command":[]}}}"#,
        "configuration: trainers.mine (/agent.json): command: must name a program"
      ),
      (#"{"id":"a","region":"b","labels":["x"]}"#, "configuration: labels (/agent.json): must be an object"),
      (
        #"{"id":"a","region":"b","log":{"level":"loud"}}"#,
        "configuration: log.level (/agent.json): must be one of trace, debug, info, notice, warning, error, critical"
      ),
    ])
  func mistakes(json: String, expected: String) throws {
    #expect(try complaint(json) == expected)
  }

  @Test("A key that does not exist is refused, a wrong one in the environment names its variable")
  func unknown() throws {
    let unknown = try complaint(#"{"id":"a","region":"b","broker":{"hots":"x"}}"#)
    #expect(unknown.hasPrefix("configuration: broker.hots (/agent.json): unknown key; known keys here: broker, broker.authorityFile"))
    let empty = try complaint(#"{"id":"a","region":"b","polcy":{}}"#)
    #expect(empty.hasPrefix("configuration: polcy (/agent.json): unknown key"))
    #expect(
      try complaint(#"{"id":"a","region":"b","policy":{"hours":{}}}"#).hasPrefix("configuration: policy.hours (/agent.json): unknown key"))
    _ = try load(#"{"id":"a","region":"b","policy":{},"broker":{},"labels":{},"data":{}}"#)
    let text = try complaint(small, environment: ["MUSTER_POLICY_MIN_BATTERY": "low"])
    #expect(text == "configuration: policy.minBattery (MUSTER_POLICY_MIN_BATTERY): must be a number from 0 to 100, not low")
    #expect(try complaint("[1").hasPrefix("configuration (/agent.json): the file is not a valid JSON object"))
    #expect(throws: AgentConfigurationError.self) {
      try AgentConfiguration.load(file: folder.file("missing.json"), flags: [:], environment: [:])
    }
  }

  @Test("A trainer that hangs is stopped after an hour, unless its owner says otherwise")
  func timeout() throws {
    #expect(try load(small).configuration.trainers["built-in"]?.timeoutSeconds == 3600)
    let json = #"{"a":{"command":["a"]},"b":{"command":["b"],"timeoutSeconds":5},"c":{"command":["c"],"timeoutSeconds":null}}"#
    let trainers = try load(#"{"id":"a","region":"b","trainers":\#(json)}"#).configuration.trainers
    #expect(trainers["a"]?.timeoutSeconds == 3600)
    #expect(trainers["b"]?.timeoutSeconds == 5)
    #expect(trainers["c"] != nil && trainers["c"]?.timeoutSeconds == nil)
  }

  @Test("What holds is shown with its origin, and no secret")
  func report() throws {
    let json = #"{"id":"pi-1","region":"north","broker":{"username":"u","password":"very-secret"}}"#
    let report = try load(json, flags: ["id": ("--id", "pi-2")]).report
    #expect(report.contains("id = \"pi-2\"  # --id"))
    #expect(report.contains("broker.password = •••"))
    #expect(report.contains("broker.port = 1883  # default"))
    #expect(!report.contains("very-secret"))
  }

  @Test("A password can lie in a file of its own")
  func passwordFile() throws {
    let file = try folder.write("hidden\n", to: "password")
    let json = #"{"id":"pi-1","region":"north","broker":{"username":"u","passwordFile":"\#(file)"}}"#
    #expect(try load(json).configuration.broker.password == "hidden")
  }
}
