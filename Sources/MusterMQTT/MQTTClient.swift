package import Logging

/// MQTT 3.1.1 over libmosquitto.
package enum MQTTClient {
  /// Keeps a connection to one broker while `body` runs, reconnecting for ever, and disconnects in order when it returns or throws.
  ///
  /// Nothing is published on the way in or out: publish the birth on each `.connected`, and before returning the offline and `flush`.
  /// If the process dies instead, the broker publishes the Will.
  ///
  /// - Parameters:
  ///   - subscriptions: in force on every connection before `.connected` is reported. More can be added later.
  ///   - generator: where the jitter comes from.
  ///   - will: asked before each attempt for that attempt's Will, on the connection's own thread; its argument is the number that
  ///     `.connected` reports if the attempt succeeds.
  /// - Throws: `MQTTError.configuration` for a configuration that cannot work; else only what `body` throws.
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
