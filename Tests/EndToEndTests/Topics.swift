import FoundationEssentials
import Glibc
import MusterSchema
import TestSupport

/// A message that a subscriber received.
struct Heard: Sendable {
  /// Time of arrival, in seconds since 1970.
  var at: Double
  var retained: Bool
  var topic: String
  var payload: String

  /// The message decoded as this kind; `nil` if it is of another kind, empty or invalid.
  func decode<M: Message>(_: M.Type) -> M? {
    do {
      return try MessageCoder.decode(M.self, from: Array(payload.utf8))
    } catch {
      return nil
    }
  }
}

/// All messages of a broker, as received by mosquitto's own client.
final class TopicCapture: Sendable {
  private let client: ChildProcess
  private let log: String

  static let all = "muster/v1/#"

  /// Subscribes until the value is released.
  init(port: Int, _ filters: [String] = [all], log: String) throws {
    self.log = log
    client = try ChildProcess(
      "mosquitto_sub", ["-p", "\(port)", "-q", "1", "-F", "%U\t%r\t%t\t%p"] + filters.flatMap { ["-t", $0] }, log: log)
  }

  deinit { client.signal(SIGKILL) }

  var heard: [Heard] {
    var text = client.log[...]
    // The last line may be incomplete.
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
  /// Starts to capture all topics, and returns when the subscription is active.
  func capture() async throws -> TopicCapture {
    let capture = try TopicCapture(
      port: broker.port, [TopicCapture.all, marker], log: folder.file("logs/topics-\(UInt32.random(in: .min ... .max))"))
    try await publish("now", to: marker, retained: true)
    _ = try await capture.first("the marker") { $0.topic == marker }
    return capture
  }

  /// The broker's retained messages, by topic.
  func retained() async throws -> [String: String] {
    let capture = try await capture()
    // The filter of all topics is subscribed first, so their retained messages arrive before the marker.
    let heard = capture.heard.filter { $0.retained && $0.topic.hasPrefix("muster/") }
    try await capture.end()
    return Dictionary(heard.map { ($0.topic, $0.payload) }) { $1 }
  }

  private var marker: String { "endtoend/marker" }

  func publish(_ payload: String, to topic: String, retained: Bool = false) async throws {
    try await publish(Array(payload.utf8), to: topic, retained: retained)
  }

  /// Publishes from an unknown client. Returns when the broker has the message.
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
