import Logging
import MusterMQTT
import Synchronization
import TestSupport

extension BrokerProcess {
  /// A client configuration for this broker that reconnects quickly.
  func client(_ clientID: String = "test", _ change: (inout MQTTConfiguration) -> Void = { _ in }) -> MQTTConfiguration {
    var configuration = MQTTConfiguration(host: "127.0.0.1", port: port, clientID: clientID)
    configuration.reconnect = MQTTReconnectDelays(minimum: .milliseconds(20), maximum: .milliseconds(100))
    change(&configuration)
    return configuration
  }
}

/// A connection without a log.
func withConnection<Result>(
  _ configuration: MQTTConfiguration, subscriptions: [MQTTSubscription] = [],
  will: @escaping @Sendable (Int) -> MQTTMessage? = { _ in nil },
  isolation: isolated (any Actor)? = #isolation, _ body: (MQTTConnection) async throws -> Result
) async throws -> Result {
  try await MQTTClient.withConnection(configuration, subscriptions: subscriptions, logger: silence, will: will, body)
}

let silence = Logger(label: "silence") { _ in SwiftLogNoOpLogHandler() }

/// The result of the closure for the first event for which it is not `nil`.
func first<Value>(of events: inout MQTTEvents.AsyncIterator, _ accept: (MQTTEvent) -> Value?) async throws -> Value {
  while let event = await events.next() {
    if let value = accept(event) { return value }
  }
  throw TestSupportError("the events ended")
}

func nextMessage(_ events: inout MQTTEvents.AsyncIterator) async throws -> MQTTMessage {
  try await first(of: &events) { if case .message(let message) = $0 { message } else { nil } }
}

@discardableResult
func untilConnected(_ events: inout MQTTEvents.AsyncIterator) async throws -> Int {
  try await first(of: &events) { if case .connected(let number) = $0 { number } else { nil } }
}

func untilDisconnected(_ events: inout MQTTEvents.AsyncIterator) async throws -> MQTTError {
  try await first(of: &events) { if case .disconnected(let error) = $0 { error } else { nil } }
}

extension MQTTState {
  /// The number of the connection; `nil` if there is none.
  var connection: Int? { if case .connected(let number) = self { number } else { nil } }
}

extension MQTTMessage {
  var text: String { String(decoding: payload, as: UTF8.self) }
}
