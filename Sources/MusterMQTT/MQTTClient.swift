package import Logging

/// MQTT 3.1.1 over libmosquitto.
package enum MQTTClient {
  /// Keeps a connection to one broker while `body` runs, reconnecting without limit, and sends DISCONNECT when `body` returns or throws.
  ///
  /// Nothing is published at the beginning or the end: publish the birth on each `.connected`, and publish the offline message and `flush`
  /// before returning. If the process dies instead, the broker publishes the Will.
  ///
  /// - Parameters:
  ///   - subscriptions: in force on every connection before `.connected` is reported. More can be added later.
  ///   - generator: the source of the jitter.
  ///   - will: returns the Will for an attempt. It is called before each attempt, on the connection's own thread, with the number that
  ///     `.connected` reports if the attempt succeeds.
  /// - Throws: `MQTTError.configuration` when the configuration cannot work or the connection's thread cannot start; otherwise only the
  ///   errors of `body`.
  package static func withConnection<Result>(
    _ configuration: MQTTConfiguration, subscriptions: [MQTTSubscription] = [], logger: Logger,
    generator: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
    will: @escaping @Sendable (_ connection: Int) -> MQTTMessage? = { _ in nil },
    isolation: isolated (any Actor)? = #isolation, _ body: (MQTTConnection) async throws -> Result
  ) async throws -> Result {
    try configuration.validate()
    let connection = try MQTTConnection(configuration, logger: logger)
    try connection.subscribe(to: subscriptions)
    try ConnectionThread.start(for: connection, configuration: configuration, logger: logger, generator: generator, will: will)
    let result: Result
    do {
      result = try await body(connection)
    } catch {
      await connection.close()
      throw error
    }
    await connection.close()
    return result
  }
}
