import FoundationEssentials
import Glibc
import MusterSchema
import TestSupport

/// One message as a subscriber saw it.
struct Heard: Sendable {
  /// Seconds since 1970.
  var at: Double
  var retained: Bool
  var topic: String
  var payload: String

  /// The message as its kind; nil for another one, an empty or a broken one.
  func decode<M: Message>(_: M.Type) -> M? {
    do {
      return try MessageCoder.decode(M.self, from: Array(payload.utf8))
    } catch {
      return nil
    }
  }
}

/// Everything that passes over a broker, as mosquitto's own client sees it.
final class TopicCapture: Sendable {
  private let client: ChildProcess
  private let log: String

  static let all = "muster/v1/#"

  /// Listens until the value goes.
  init(port: Int, _ filters: [String] = [all], log: String) throws {
    self.log = log
    client = try ChildProcess(
      "mosquitto_sub", ["-p", "\(port)", "-q", "1", "-F", "%U\t%r\t%t\t%p"] + filters.flatMap { ["-t", $0] }, log: log)
  }

  deinit { client.signal(SIGKILL) }

  var heard: [Heard] {
    var text = client.log[...]
    // The last line may be half written.
    text = text[..<(text.lastIndex(of: "\n") ?? text.startIndex)]
    return text.split(separator: "\n").compactMap { line in
      let parts = line.split(separator: "\t", maxSplits: 3, omittingEmptySubsequences: false)
      guard parts.count == 4, let at = Double(parts[0]) else { return nil }
      return Heard(at: at, retained: parts[1] == "1", topic: String(parts[2]), payload: String(parts[3]))
    }
  }

  /// The first message that fits.
  func first(within timeout: Duration = .seconds(10), _ what: String, _ fits: (Heard) -> Bool) async throws -> Heard {
    var found: Heard?
    _ = try await eventually(within: timeout, every: .milliseconds(20)) {
      found = heard.first(where: fits)
      return found != nil
    }
    guard let found else { throw TestSupportError("never heard on the topics: \(what)") }
    return found
  }

  func end() async throws {
    client.signal(SIGKILL)
    try await client.wait()
  }
}

extension Fleet {
  /// Starts to listen to all topics; returns when the subscription stands.
  func capture() async throws -> TopicCapture {
    let capture = try TopicCapture(
      port: broker.port, [TopicCapture.all, marker], log: folder.file("logs/topics-\(UInt32.random(in: .min ... .max))"))
    try await publish("now", to: marker, retained: true)
    _ = try await capture.first("the marker") { $0.topic == marker }
    return capture
  }

  /// What the broker holds now, by topic.
  func retained() async throws -> [String: String] {
    let capture = try await capture()
    // Subscribed first, the tree's retained messages come before the marker's.
    let heard = capture.heard.filter { $0.retained && $0.topic.hasPrefix("muster/") }
    try await capture.end()
    return Dictionary(heard.map { ($0.topic, $0.payload) }) { $1 }
  }

  private var marker: String { "endtoend/marker" }

  func publish(_ payload: String, to topic: String, retained: Bool = false) async throws {
    try await publish(Array(payload.utf8), to: topic, retained: retained)
  }

  /// Publishes as a stranger would. Returns when the broker has it.
  func publish(_ payload: [UInt8], to topic: String, retained: Bool = false) async throws {
    let file = try folder.write(payload, to: "payload-\(UInt32.random(in: .min ... .max))")
    let client = try ChildProcess(
      "mosquitto_pub",
      ["-p", "\(broker.port)", "-q", "1", "-t", topic] + (payload.isEmpty ? ["-n"] : ["-f", file]) + (retained ? ["-r"] : []),
      log: folder.file("logs/publish.log"))
    guard try await client.wait() == 0 else { throw TestSupportError("mosquitto_pub: \(client.log)") }
    try FileManager.default.removeItem(atPath: file)
  }
}
