import FoundationEssentials
import MusterMQTT
import TestSupport
import Testing

/// The files of `broker/`. Only paths, ports and certificates are changed.
@Suite(.timeLimit(.minutes(1)))
struct MQTTBrokerConfigurationTests {
  private static let source: String = {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return folder.appending(path: "broker").path
  }()

  private static func text(_ name: String) throws -> String {
    try String(contentsOfFile: "\(source)/\(name)", encoding: .utf8)
  }

  /// Replaces each line that begins with a key. Every key must occur.
  private static func rewrite(_ text: String, _ changes: [String: String]) throws -> String {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    for (key, value) in changes {
      let index = try #require(lines.firstIndex { $0 == key || $0.hasPrefix(key + " ") }, "no line \(key)")
      lines[index] = value
    }
    return lines.joined(separator: "\n")
  }

  @Test("local.conf starts and serves the loopback interface")
  func local() async throws {
    let folder = try TemporaryFolder()
    let port = try freePort()
    let configuration = try folder.write(
      try Self.rewrite(try Self.text("local.conf"), ["listener": "listener \(port) 127.0.0.1"]), to: "local.conf")
    let broker = BrokerProcess(configuration: configuration, port: port, folder: folder)
    try await broker.start()
    try await withConnection(broker.client(), subscriptions: [MQTTSubscription("a")]) { connection in
      var events = connection.events.makeAsyncIterator()
      try await untilConnected(&events)
      connection.publish(topic: "a", payload: [UInt8](repeating: 1, count: 64 << 10))
      #expect(try await nextMessage(&events).payload.count == 64 << 10)
    }
  }

  /// A broker with production.conf, and certificates made for the test.
  private func production(users: [String], plain: Bool) async throws -> BrokerProcess {
    let folder = try TemporaryFolder()
    let port = try freePort()
    let passwords = try await BrokerProcess.writePasswords(Dictionary(uniqueKeysWithValues: users.map { ($0, "secret") }), in: folder)
    var changes = [
      "listener": "listener \(port) 127.0.0.1\nuser root", "password_file": "password_file \(passwords)",
      "acl_file": "acl_file \(try folder.write(try Self.text("acl"), to: "acl"))",
      "persistence_location": "persistence_location \(folder.path)/",
    ]
    if plain {
      for key in ["certfile", "keyfile", "tls_version"] { changes[key] = "" }
    } else {
      try await makeCertificate(in: folder)
      changes["certfile"] = "certfile \(folder.file("server.crt"))"
      changes["keyfile"] = "keyfile \(folder.file("server.key"))"
    }
    let configuration = try folder.write(try Self.rewrite(try Self.text("production.conf"), changes), to: "production.conf")
    let broker = BrokerProcess(configuration: configuration, port: port, folder: folder)
    try await broker.start()
    return broker
  }

  private func makeCertificate(in folder: TemporaryFolder) async throws {
    let arguments = [
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
      "-addext", "subjectAltName=DNS:localhost", "-keyout", folder.file("server.key"), "-out", folder.file("server.crt"),
    ]
    let openssl = try ChildProcess("openssl", arguments, log: folder.file("openssl.log"))
    try #require(try await openssl.wait() == 0, "\(openssl.log)")
  }

  private func withUser<Result>(
    _ user: String, _ broker: BrokerProcess, filters: [String], configure: (inout MQTTConfiguration) -> Void = { _ in },
    _ body: (MQTTConnection, inout MQTTEvents.AsyncIterator) async throws -> Result
  ) async throws -> Result {
    let configuration = broker.client(user) {
      $0.username = user
      $0.password = "secret"
      configure(&$0)
    }
    return try await withConnection(configuration, subscriptions: filters.map { MQTTSubscription($0) }) { connection in
      var events = connection.events.makeAsyncIterator()
      try await untilConnected(&events)
      return try await body(connection, &events)
    }
  }

  @Test("production.conf: TLS with a verified name; a foreign authority or a wrong name is refused with a reason")
  func tls() async throws {
    let broker = try await production(users: ["central"], plain: false)
    let certificate = broker.folder.file("server.crt")
    let encrypted: (inout MQTTConfiguration) -> Void = {
      $0.host = "localhost"
      $0.authorityFile = certificate
    }
    try await withUser("central", broker, filters: ["muster/v1/central/tasks/#"], configure: encrypted) { connection, events in
      // Sends many messages at once: bytes that TLS has decrypted, but the client has not read yet, must not be forgotten.
      for number in 0..<500 {
        connection.publish(topic: "muster/v1/central/tasks/t-\(number)", payload: [UInt8](repeating: 1, count: 500), quality: .atMostOnce)
      }
      for number in 0..<500 {
        let message = try await nextMessage(&events)
        #expect(message.topic == "muster/v1/central/tasks/t-\(number)")
      }
      #expect(await connection.flush(timeout: .seconds(5)))
    }
    let foreign = try TemporaryFolder()
    try await makeCertificate(in: foreign)
    let wrong: [(inout MQTTConfiguration) -> Void] = [
      { $0.authorityFile = certificate }, { ($0.host, $0.authorityFile) = ("localhost", foreign.file("server.crt")) },
      { $0.authorityFile = foreign.file("missing.crt") },
    ]
    for change in wrong {
      try await withConnection(broker.client("test", change)) { connection in
        var events = connection.events.makeAsyncIterator()
        let error = try await untilDisconnected(&events)
        guard case .tls = error else {
          Issue.record("unexpected: \(error)")
          return
        }
      }
    }
    // No client falls back to plain TCP, and a plain client of a TLS listener is refused.
    try await withConnection(broker.client()) { connection in
      var events = connection.events.makeAsyncIterator()
      _ = try await untilDisconnected(&events)
      #expect(connection.statistics.connections == 0)
    }
  }

  @Test("The ACL: everybody's own topics work, and nobody writes or reads what is another's")
  func accessList() async throws {
    let broker = try await production(users: ["central", "north", "pi-1", "pi-2", "engineer", "north-bridge"], plain: true)
    let attempts: [(user: String, topic: String, passes: Bool)] = [
      ("pi-1", "muster/v1/north/nodes/pi-1/state", true),
      ("pi-1", "muster/v1/north/nodes/pi-1/tasks/digits", true),
      ("pi-1", "muster/v1/north/nodes/pi-2/state", false),
      ("pi-1", "muster/v1/north/nodes/pi-2/tasks/digits", false),
      ("pi-1", "muster/v1/north/nodes/pi-1/invitations/digits", false),
      ("pi-1", "muster/v1/north/nodes/pi-2/invitations/digits", false),
      ("pi-1", "muster/v1/north/state", false),
      ("pi-1", "muster/v1/north/tasks/digits", false),
      ("pi-1", "muster/v1/north/tasks/digits/round", false),
      ("pi-1", "muster/v1/central/state", false),
      ("pi-1", "other", false),
      ("north", "muster/v1/north/state", true),
      ("north", "muster/v1/north/tasks/digits", true),
      ("north", "muster/v1/north/tasks/digits/round", true),
      ("north", "muster/v1/north/nodes/pi-1/tasks/digits", true),
      ("north", "muster/v1/north/nodes/pi-1/invitations/digits", true),
      // `muster node forget` clears the topics of a removed device. Another region's devices stay out of reach.
      ("north", "muster/v1/north/nodes/pi-1/state", true),
      ("north", "muster/v1/south/nodes/pi-1/state", false),
      ("north", "muster/v1/south/tasks/digits", false),
      ("north", "muster/v1/central/tasks/digits", false),
      ("north", "muster/v1/central/nodes/north/state", true),
      ("north", "muster/v1/central/nodes/north/tasks/digits", true),
      ("north", "muster/v1/central/nodes/south/tasks/digits", false),
      ("central", "muster/v1/central/nodes/north/invitations/digits", true),
      ("central", "muster/v1/central/tasks/digits", true),
      ("central", "muster/v1/north/tasks/digits", false),
      ("engineer", "muster/v1/north/tasks/digits", false),
      ("engineer", "muster/v1/north/nodes/engineer2/state", false),
      ("north-bridge", "muster/v1/north/tasks/digits", true),
      ("north-bridge", "muster/v1/south/tasks/digits", false),
    ]
    // The engineer can read everything, so it receives every message that was allowed. A device receives only its own messages.
    try await withUser("engineer", broker, filters: ["muster/#", "other"]) { engineer, seen in
      try await withUser("pi-2", broker, filters: ["#"]) { device, deviceSeen in
        for user in ["pi-1", "north", "central", "engineer", "north-bridge"] {
          let own = attempts.filter { $0.user == user }
          if user == "engineer" {
            for attempt in own { engineer.publish(topic: attempt.topic, payload: Array(user.utf8)) }
            #expect(await engineer.flush(timeout: .seconds(5)))
          } else {
            try await withUser(user, broker, filters: []) { connection, _ in
              for attempt in own { connection.publish(topic: attempt.topic, payload: Array(user.utf8)) }
              // Denied messages are acknowledged, too.
              #expect(await connection.flush(timeout: .seconds(5)))
            }
          }
        }
        device.publish(topic: "muster/v1/north/nodes/pi-2/state", payload: Array("end".utf8))
        var passed: [String] = []
        while case let message = try await nextMessage(&seen), message.text != "end" { passed.append("\(message.text) \(message.topic)") }
        #expect(passed == Self.expected(attempts))
        var read: [String] = []
        while case let message = try await nextMessage(&deviceSeen), message.text != "end" { read.append(message.topic) }
        let allowed = Set([
          "muster/v1/north/state", "muster/v1/north/tasks/digits", "muster/v1/central/tasks/digits",
        ])
        #expect(Set(read) == allowed)
      }
    }
  }

  private static func expected(_ attempts: [(user: String, topic: String, passes: Bool)]) -> [String] {
    ["pi-1", "north", "central", "engineer", "north-bridge"].flatMap { user in
      attempts.filter { $0.user == user && $0.passes }.map { "\(user) \($0.topic)" }
    }
  }

  @Test("Nobody comes in without a user, and a device reads its own invitations only")
  func invitations() async throws {
    let broker = try await production(users: ["north", "pi-1", "pi-2"], plain: true)
    try await withConnection(broker.client()) { connection in
      var events = connection.events.makeAsyncIterator()
      let error = try await untilDisconnected(&events)
      #expect(error == .refused(.notAuthorized))
    }
    try await withUser("pi-1", broker, filters: ["muster/v1/north/nodes/+/invitations/+"]) { _, events in
      try await withUser("north", broker, filters: []) { region, _ in
        for device in ["pi-2", "pi-1"] { region.publish(topic: "muster/v1/north/nodes/\(device)/invitations/digits", payload: [1]) }
        #expect(await region.flush(timeout: .seconds(5)))
      }
      let message = try await nextMessage(&events)
      #expect(message.topic == "muster/v1/north/nodes/pi-1/invitations/digits")
    }
  }

  @Test("bridge.conf copies a region's tree to headquarters, and nothing comes back")
  func bridge() async throws {
    let headquarters = try await BrokerProcess.started(
      .with {
        $0.users = ["north-bridge": "secret", "central": "secret", "engineer": "secret"]
        $0.accessList = try Self.text("acl")
      })
    let folder = try TemporaryFolder()
    let port = try freePort()
    let local = try Self.rewrite(try Self.text("local.conf"), ["listener": "listener \(port) 127.0.0.1"])
    let bridge = try Self.rewrite(
      try Self.text("bridge.conf"),
      [
        "address": "address 127.0.0.1:\(headquarters.port)", "bridge_cafile": "", "bridge_insecure": "",
        "remote_password": "remote_password secret",
      ])
    let region = BrokerProcess(configuration: try folder.write(local + "\n" + bridge, to: "mosquitto.conf"), port: port, folder: folder)
    try await region.start()
    try await withUser("engineer", headquarters, filters: ["muster/#"]) { _, seen in
      try await withConnection(region.client(), subscriptions: [MQTTSubscription("#")]) { inside in
        var events = inside.events.makeAsyncIterator()
        try await untilConnected(&events)
        inside.publish(topic: "muster/v1/south/state", payload: [1], retained: true)
        inside.publish(topic: "muster/v1/north/state", payload: [2], retained: true)
        for _ in 0..<2 { _ = try await nextMessage(&events) }
        try await withUser("central", headquarters, filters: []) { central, _ in
          central.publish(topic: "muster/v1/central/state", payload: [3])
          #expect(await central.flush(timeout: .seconds(5)))
        }
        // The bridge may deliver its message twice: as a queued message, and as a retained one when it connects.
        var topics: Set<String> = []
        while topics.count < 2 { topics.insert(try await nextMessage(&seen).topic) }
        #expect(topics == ["muster/v1/north/state", "muster/v1/central/state"])
        inside.publish(topic: "last", payload: [4])
        let next = try await nextMessage(&events)
        #expect(next.topic == "last")
      }
    }
  }
}
