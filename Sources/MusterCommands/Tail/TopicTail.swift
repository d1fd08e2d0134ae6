import Logging
import MusterMQTT
import MusterSchema

/// A subscriber to a broker's topics. It publishes nothing.
struct TopicTail: Sendable {
  /// The address of a broker, such as `mqtt://host:1883` or `mqtts://host:8883`.
  struct Address: Hashable, Sendable, CustomStringConvertible {
    var server: HostAndPort
    var isTLS: Bool

    init(parsing text: String) throws(CommandError) {
      let parts = text.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, parts[0] == "mqtt" || parts[0] == "mqtts" else { throw Self.malformed(text) }
      isTLS = parts[0] == "mqtts"
      var rest = parts[1]
      while rest.last == "/" { rest.removeLast() }
      do {
        server = try HostAndPort(validating: rest, defaultPort: isTLS ? 8883 : 1883)
      } catch {
        throw Self.malformed(text)
      }
    }

    private static func malformed(_ text: String) -> CommandError {
      CommandError(
        .usage,
        "\"\(text.withoutControlCharacters)\" is not a broker's address; give mqtt://HOST:PORT or mqtts://HOST:PORT, such as mqtt://[::1]:1883"
      )
    }

    var host: String { server.host.name }
    var port: Int { server.port }
    var description: String { "\(isTLS ? "mqtts" : "mqtt")://\(server)" }
  }

  struct Message: Hashable, Sendable {
    var topic: String
    var payload: [UInt8]
    var isKept: Bool
  }

  var address: Address
  var username: String?
  var password: String?
  /// A PEM file with the authority for a broker with TLS.
  var authorityFile: String?

  /// The topic filters for one task, or for everything.
  static func filters(_ task: TaskID?) -> [String] {
    let root = "muster/v\(Topic.version)"
    guard let task else { return ["\(root)/#"] }
    return [
      "\(root)/+/state", "\(root)/+/tasks/\(task)", "\(root)/+/tasks/\(task)/round", "\(root)/+/nodes/+/state",
      "\(root)/+/nodes/+/tasks/\(task)", "\(root)/+/nodes/+/invitations/\(task)",
    ]
  }

  /// Passes every message to `body` until `body` throws or the task is cancelled. If the broker goes away later, waits for it to return.
  ///
  /// - Throws: ``CommandError`` with exit code 4 when the first connection to the broker fails.
  func run(_ filters: [String], _ body: (Message) async throws -> Void) async throws {
    var configuration = MQTTConfiguration(host: address.host, port: address.port, clientID: "muster-tail-\(UInt64.random(in: 0...(.max)))")
    configuration.username = username
    configuration.password = password
    configuration.authorityFile = authorityFile
    configuration.inboxLimit = 16 << 20
    // The library logs nothing here, because this command prints each problem once itself.
    var logger = Logger(label: "muster.tail") { _ in SwiftLogNoOpLogHandler() }
    logger.logLevel = .critical
    var hasConnected = false
    do {
      try await MQTTClient.withConnection(
        configuration, subscriptions: filters.map { MQTTSubscription($0, quality: .atMostOnce) }, logger: logger
      ) { connection in
        for await event in connection.events {
          switch event {
          case .connected:
            if hasConnected { Console.note("muster: connected to \(address) again") }
            hasConnected = true
          case .disconnected(let error):
            guard hasConnected else {
              throw CommandError(.unreachable, "\(error) (\(address)). Check that the broker is running, or name another one with --broker")
            }
            Console.note("muster: \(error) (\(address)); trying again")
          case .message(let message):
            try await body(Message(topic: message.topic, payload: message.payload, isKept: message.retained))
          }
        }
      }
    } catch let error as MQTTError {
      throw CommandError(.usage, "\(error)")
    }
  }
}
