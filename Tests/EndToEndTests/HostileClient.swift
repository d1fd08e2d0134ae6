import FoundationEssentials
import MusterSchema
import MusterTensors
import MusterTransfer
import Synchronization
import TestSupport
import Testing

/// Sends invalid messages and requests of all kinds to a fleet, and checks its answers.
final class HostileClient: Sendable {
  private struct Tally {
    var messages = 0
    var requests = 0
    var statuses: [Int: Int] = [:]
  }

  private let fleet: Fleet
  private let invitation: Invitation
  private let tally = Mutex(Tally())

  init(fleet: Fleet, invitation: Invitation) {
    self.fleet = fleet
    self.invitation = invitation
  }

  var messages: Int { tally.withLock(\.messages) }
  var requests: Int { tally.withLock(\.requests) }
  var statuses: [Int: Int] { tally.withLock(\.statuses) }

  /// Sends everything once, over MQTT and HTTP at the same time.
  func attack() async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await self.overTopics() }
      group.addTask { try await self.overHTTP() }
      try await group.waitForAll()
    }
  }

  // MARK: - Topics

  /// All topics of a running task, of all nodes, of unknown nodes, and some that are not Muster's.
  private var topics: [String] {
    var topics: [String] = []
    for coordinator in ["central"] + fleet.plan.regions {
      topics += ["state", "tasks/digits", "tasks/digits/round", "tasks/another", "nodes/ghost/state", "nodes/ghost/tasks/digits"]
        .map { "\(coordinator)/\($0)" }
      let nodes = coordinator == "central" ? fleet.plan.regions : fleet.plan.deviceList.filter { $0.region == coordinator }.map(\.id)
      for node in nodes {
        topics += ["state", "tasks/digits", "tasks/another", "invitations/digits"].map { "\(coordinator)/nodes/\(node)/\($0)" }
      }
    }
    let odd = [
      "central/nodes/North/state", "central/nodes/../state", "central/nodes//state", "north/tasks/a b",
      "north/nodes/\(String(repeating: "x", count: 2000))/state", "north/nodes/e\u{301}/tasks/digits", "central/nodes/north/tasks/digits/x",
    ]
    return (topics + odd).map { "muster/v1/\($0)" } + ["muster/v2/central/nodes/north/state", "muster/v1/north/nodes/pi-1/state/"]
  }

  private func overTopics() async throws {
    let broker = try RawMQTT(port: fleet.broker.port)
    var count = 0
    for topic in topics {
      for payload in Self.payloads(topic) {
        // The last retained payload stays on the topic. The very last is not a message, so that no program takes it for a birth.
        broker.publish(payload, to: topic)
        broker.publish(payload, to: topic, retained: true)
        count += 2
      }
      broker.publish(Array("junk".utf8), to: topic, retained: true)
    }
    try broker.flush()
    // Invalid MQTT packets must end only the connection that sent them.
    for bytes in Self.packets {
      let stranger = try RawMQTT(port: fleet.broker.port)
      stranger.send(bytes)
    }
    tally.withLock { $0.messages += count }
  }

  private static let packets: [[UInt8]] = [
    [0x00, 0x00], [0xf0, 0xff, 0xff, 0xff, 0xff, 0x7f], RawMQTT.packet(0x30, RawMQTT.text("muster/v1/+/state") + [1]),
    RawMQTT.packet(0x30, RawMQTT.text("muster/v1/north/tasks/a\u{1b}[31m") + [1]),
    RawMQTT.packet(0x30, [0, 200, 1]), RawMQTT.packet(0x10, RawMQTT.text("MQTT") + [4, 2, 0, 60, 0, 1, 65]),
    Array("GET / HTTP/1.1\r\n\r\n".utf8),
  ]

  private static func payloads(_ topic: String) -> [[UInt8]] {
    let kinds = ["coordinator-state", "node-state", "node-status", "invitation", "round-state", "task", "nothing"]
    let texts = kinds.flatMap { kind in
      [
        #"{"kind":"\#(kind)"}"#, #"{"kind":"\#(kind)","protocol":9,"node":"pi-1","task":"digits"}"#,
        #"{"kind":"\#(kind)","node":"../../etc","coordinator":"a+","task":"a/b","online":true,"session":"x","state":"done"}"#,
        #"{"kind":"\#(kind)","node":"zzz","coordinator":"zzz","task":"zzz","online":true,"session":"x","state":"done","devices":9223372036854775807}"#,
        #"{"kind":"\#(kind)","online":"\u001b[2J\u0007","state":"\u0000","round":1e400,"attempt":-9223372036854775808}"#,
      ]
    }
    return texts.map { Array($0.utf8) } + [
      [0xff, 0x00, 0xc3, 0x28], [UInt8](repeating: UInt8(ascii: "["), count: 4096),
      Array("{\"a\":\(String(repeating: "[", count: 4000))".utf8),
      (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 131) }, [UInt8](repeating: 0, count: 5000),
      [UInt8](repeating: UInt8(ascii: " "), count: 100_000),
      Array("null".utf8), Array("\"\"".utf8), [],
    ]
  }

  // MARK: - HTTP

  private func overHTTP() async throws {
    let ports = [fleet.places.central.data, fleet.places.central.ops] + fleet.places.regions.values.flatMap { [$0.data, $0.ops] }
    for port in ports.sorted() {
      for (head, expected) in heads { try say(Array(head.utf8), to: port, expected: expected) }
    }
    for listener in [fleet.places.central] + fleet.places.regions.values {
      for (head, body, expected) in uploads { try say(Array(head.utf8) + body, to: listener.data, expected: expected) }
    }
    for (body, expected) in pushes {
      try say(
        Array("PUT /v1/tasks/wrong HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: \(body.count)\r\n\r\n".utf8) + body,
        to: fleet.places.central.ops,
        expected: expected)
    }
  }

  /// - Parameter expected: the correct statuses. With `nil` among them, the connection may also end without an answer.
  private func say(_ bytes: [UInt8], to port: Int, expected: [Int?]) throws {
    let socket = try RawSocket(port: port)
    socket.send(bytes)
    let answer = String(decoding: socket.receive(upTo: 64 << 10) { $0.contains { $0 == 0x0a } }, as: UTF8.self)
    let words = answer.split(separator: " ", maxSplits: 2)
    let status = answer.hasPrefix("HTTP/1.1 ") && words.count > 1 ? Int(words[1]) : nil
    let shown = String(decoding: bytes.prefix(120), as: UTF8.self).debugDescription
    #expect(expected.contains(status), "\(shown): \(status.map(String.init) ?? "no answer"), not \(expected)")
    #expect(!answer.contains("root:") && !answer.contains(fleet.folder.path), "\(shown): \(answer)")
    tally.withLock { tally in
      tally.requests += 1
      tally.statuses[status ?? 0, default: 0] += 1
    }
  }

  private static let injections = [
    "..", "%2e%2e", "..%2f..%2f..%2fetc%2fpasswd", "%00", "a%0d%0aX:%20y", "+", "%23", "a%2Fb", "A", "-a", "a.b", "%ff%fe", "..%5c..",
    "~root",
    String(repeating: "a", count: 64), "e%cc%81",
  ]

  /// All routes with invalid identifiers, for every listener. A listener either does not have the route or refuses the identifier.
  private var heads: [(String, [Int?])] {
    let refused: [Int?] = [400, 403, 404, 405, 410, 422]
    let digest = "sha256:\(String(repeating: "0", count: 64))"
    var heads: [(String, [Int?])] = []
    func add(_ method: String, _ path: String, _ fields: String = "", _ expected: [Int?]) {
      heads.append(("\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n\(fields)Connection: close\r\n\r\n", expected))
    }
    for id in Self.injections {
      for path in [
        "/v1/blobs/\(id)", "/v1/blobs/sha256:\(id)", "/v1/tasks/\(id)/rounds/1/updates", "/v1/tasks/digits/rounds/\(id)/updates",
        "/v1/tasks/\(id)/why",
        "/v1/tasks/\(id)/models", "/\(id)/\(id)/etc/passwd",
      ] {
        add("GET", path, "", refused)
      }
      for path in [
        "/v1/tasks/\(id)/rounds/1/updates/north/pi-1", "/v1/tasks/digits/rounds/\(id)/updates/north/pi-1",
        "/v1/tasks/digits/rounds/1/updates/\(id)",
        "/v1/tasks/digits/rounds/1/updates/north/\(id)", "/v1/tasks/digits/rounds/1/evaluations/north/\(id)",
      ] {
        add("PUT", path, "Authorization: Bearer x\r\nContent-Length: 0\r\n", refused)
        add("HEAD", path, "Authorization: Bearer x\r\n", refused)
        add("PATCH", path, "Authorization: Bearer x\r\nContent-Length: 0\r\n", refused + [415])
        add("DELETE", path, "Authorization: Bearer x\r\nContent-Length: 0\r\n", refused)
      }
    }
    add("GET", "/v1/blobs/\(digest)/../../../../etc/passwd", "", refused)
    add("GET", "/v1/blobs/\(digest)", "Range: bytes=0-1,2-3,-99999999999999999999\r\n", [404])
    add("TRACE", "/", "", [404, 405])
    // Invalid heads.
    let large = String(repeating: "x", count: 40_000)
    heads += [
      ("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Large: \(large)\r\n\r\n", [431]),
      ("GET /\(large) HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", [414, 431]),
      ("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + String(repeating: "X-Many: 1\r\n", count: 2000) + "\r\n", [431]),
      ("PUT /v1/tasks/a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n", [400]),
      ("PUT /v1/tasks/a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", [400]),
      ("PUT /v1/tasks/a HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", [400, 404, 405]),
      ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}", [400, nil]), ("\r\n\r\n\r\n\u{0}\u{0}", [400, nil]), ("G\u{0}T / HTTP/1.1\r\n\r\n", [400, nil]),
      ("GET / HTTP/9.9\r\n\r\n", [400, 404, 505, nil]), ("GET /healthz HTTP/1.1\nHost : h\n\n", [200, 400, nil]),
    ]
    return heads
  }

  /// Wrong uploads with a valid ticket, or almost. The region is not the ledger of this round, so it admits none.
  private var uploads: [(String, [UInt8], [Int?])] {
    let path = "/v1/tasks/digits/rounds/1/updates/north/pi-1"
    let ticket = "Authorization: Bearer \(invitation.ticket?.text ?? "")\r\n"
    let digest = Digest(of: Array("x".utf8))
    func head(_ method: String, _ fields: String, _ count: Int, ticket: String) -> String {
      "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n\(ticket)\(fields)Content-Length: \(count)\r\n\r\n"
    }
    var uploads: [(String, [UInt8], [Int?])] = []
    for body in Self.bodies { uploads.append((head("PUT", "", body.count, ticket: ticket), body, [422, 404])) }
    for wrong in [
      "", "Authorization: Bearer \(String(repeating: "f", count: 64))\r\n", "Authorization: Basic eDp5\r\n", "Authorization: Bearer\r\n",
    ] {
      uploads.append((head("PUT", "", 3, ticket: wrong), [1, 2, 3], [403, 404]))
    }
    for fields in [
      "Upload-Complete: yes\r\n", "Upload-Complete: ?1\r\nUpload-Offset: -1\r\n",
      "Upload-Complete: ?0\r\nUpload-Offset: 99999999999999999999\r\n",
      "Upload-Complete: ?1\r\nUpload-Offset: 5\r\nRepr-Digest: \(digest.contentDigest)\r\n",
      "Upload-Complete: ?1\r\nRepr-Digest: sha-256=:x:\r\n",
      "Upload-Complete: ?1\r\n", "Content-Digest: nonsense\r\n", "Upload-Length: 1e3\r\nUpload-Complete: ?0\r\n",
    ] {
      uploads.append((head("PUT", fields, 1, ticket: ticket), [120], [400, 404]))
    }
    uploads.append((head("PUT", "Content-Digest: \(digest.contentDigest)\r\n", 1, ticket: ticket), [121], [422, 404]))
    uploads.append((head("PUT", "", 1 << 40, ticket: ticket), [], [413, 404, 429]))
    uploads.append(
      (
        head("PUT", "Upload-Complete: ?0\r\nUpload-Length: 999999999999999\r\nRepr-Digest: \(digest.contentDigest)\r\n", 1, ticket: ticket),
        [1], [413, 404]
      ))
    uploads.append(
      (
        head("PATCH", "Upload-Complete: ?1\r\nUpload-Offset: 7\r\nRepr-Digest: \(digest.contentDigest)\r\n", 1, ticket: ticket), [1],
        [415, 404]
      ))
    let part =
      "Content-Type: application/partial-upload\r\nUpload-Complete: ?1\r\nUpload-Offset: 7\r\nRepr-Digest: \(digest.contentDigest)\r\n"
    uploads.append((head("PATCH", part, 1, ticket: ticket), [1], [409, 404]))
    return uploads
  }

  /// Files that are not updates.
  private static let bodies: [[UInt8]] = {
    func header(_ text: String, _ data: Int = 0) -> [UInt8] {
      (0..<8).map { UInt8(truncatingIfNeeded: text.utf8.count >> (8 * $0)) } + Array(text.utf8) + [UInt8](repeating: 0, count: data)
    }
    return [
      [], [1, 2, 3], [255, 255, 255, 255, 255, 255, 255, 127], [UInt8](repeating: UInt8(ascii: "{"), count: 1_000_000),
      header("{}"), header(String(repeating: "[", count: 100_000)),
      header(#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#),
      header(#"{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}"#),
      header("{" + (0..<20_000).map { #""\#($0)":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"# }.joined(separator: ",") + "}"),
      header(
        #"{"__metadata__":{"muster.task":"\u001b[31m","muster.encoding":"int8"},"value/a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}"#,
        4),
    ]
  }()

  private var pushes: [([UInt8], [Int?])] {
    [
      ([], [422]), ([0xff, 0xfe], [422]), ([UInt8](repeating: UInt8(ascii: "["), count: 200_000), [422]),
      (Array(#"{"name":"\u001b[31m","rounds":1e400}"#.utf8), [422]), ([UInt8](repeating: UInt8(ascii: " "), count: 300_000), [413]),
    ]
  }
}
