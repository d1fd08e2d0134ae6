import MusterMQTT
import TestSupport
import Testing

/// Brokers without features that Muster needs. Clients report the missing feature.
@Suite(.timeLimit(.minutes(1)))
struct MQTTUnfitBrokerTests {
  /// The first failure that the closure accepts, of a client that has a Will, subscribes and publishes like Muster's own clients.
  private func failure(
    of broker: BrokerProcess, payload: Int = 300, _ accept: (MQTTError) -> Bool
  ) async throws -> MQTTError {
    let will: @Sendable (Int) -> MQTTMessage? = { _ in MQTTMessage(topic: "a/state", payload: [1], retained: true) }
    return try await withConnection(broker.client(), subscriptions: [MQTTSubscription("a/#")], will: will) { connection in
      var events = connection.events.makeAsyncIterator()
      while let event = await events.next() {
        switch event {
        case .connected(let number):
          connection.publish(
            topic: "a/state", payload: [UInt8](repeating: 1, count: payload), retained: true, on: number)
        case .disconnected(let error) where accept(error): return error
        default: continue
        }
      }
      throw TestSupportError("the events ended")
    }
  }

  private func isUnfit(_ error: MQTTError) -> Bool { if case .unfit = error { true } else { false } }

  @Test("One without retained messages hangs up on a Will: that is said, not that TLS is missing")
  func noRetained() async throws {
    let broker = try await BrokerProcess.started(.with { $0.lines = ["retain_available false"] })
    let error = try await failure(of: broker, isUnfit)
    #expect(error == .unfit("it does not accept a retained Will (mosquitto: retain_available)"))
  }

  @Test("One with QoS 0 only")
  func noQuality() async throws {
    let broker = try await BrokerProcess.started(.with { $0.lines = ["max_qos 0"] })
    let error = try await failure(of: broker, isUnfit)
    #expect(error == .unfit("it grants only QoS 0 for a/#, but QoS 1 is needed (mosquitto: max_qos)"))
  }

  @Test("One that takes no messages of 4 KiB hangs up on each connection: the second time its limit is named")
  func smallPackets() async throws {
    let broker = try await BrokerProcess.started(.with { $0.lines = ["max_packet_size 2000"] })
    let error = try await failure(of: broker, payload: 3000) { "\($0)".contains("max_packet_size") }
    #expect("\(error)".contains("twice right after a message of 3000 bytes on a/state was sent"), "\(error)")
  }

  @Test("A broker that goes away and comes back is not blamed")
  func restart() async throws {
    let broker = try await BrokerProcess.started()
    let will: @Sendable (Int) -> MQTTMessage? = { _ in MQTTMessage(topic: "a/state", payload: [1], retained: true) }
    try await withConnection(broker.client(), subscriptions: [MQTTSubscription("a/#")], will: will) { connection in
      var events = connection.events.makeAsyncIterator()
      for _ in 0..<3 {
        try await untilConnected(&events)
        connection.publish(topic: "a/state", payload: [2], retained: true)
        #expect(await connection.flush(timeout: .seconds(5)))
        try await broker.kill()
        let error = try await untilDisconnected(&events)
        #expect(!isUnfit(error) && !"\(error)".contains("max_packet_size"), "\(error)")
        try await broker.start()
      }
    }
  }
}
