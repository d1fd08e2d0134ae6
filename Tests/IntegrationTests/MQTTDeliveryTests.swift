import MusterMQTT
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1)))
struct MQTTDeliveryTests {
  @Test("A message comes back to a subscriber, byte for byte")
  func roundTrip() async throws {
    let broker = try await BrokerProcess.started()
    try await withConnection(broker.client(), subscriptions: [MQTTSubscription("a/+")]) { connection in
      var events = connection.events.makeAsyncIterator()
      let number = try await untilConnected(&events)
      #expect(number == 1)
      #expect(connection.state == .connected(connection: 1))
      let bytes = Array(UInt8.min...UInt8.max)
      for quality in [MQTTQuality.atMostOnce, .atLeastOnce] {
        #expect(connection.publish(topic: "a/b", payload: bytes, quality: quality) == .accepted)
        #expect(try await nextMessage(&events) == MQTTMessage(topic: "a/b", payload: bytes, quality: quality, retained: false))
      }
      connection.publish(topic: "a/empty", payload: [])
      #expect(try await nextMessage(&events).payload.isEmpty)
    }
  }

  @Test("A retained message waits for a later subscriber, after `connected`, and an empty one clears it")
  func retained() async throws {
    let broker = try await BrokerProcess.started()
    try await withConnection(broker.client("writer")) { writer in
      writer.publish(topic: "s/1", payload: Array("old".utf8), retained: true)
      writer.publish(topic: "s/1", payload: Array("new".utf8), retained: true)
      #expect(await writer.flush(timeout: .seconds(5)))
      for filters in [[MQTTSubscription("s/+")], [MQTTSubscription("s/+", quality: .atMostOnce), MQTTSubscription("t/+")]] {
        try await withConnection(broker.client("reader"), subscriptions: filters) { reader in
          var events = reader.events.makeAsyncIterator()
          #expect(await events.next() == .connected(connection: 1))
          let message = try await nextMessage(&events)
          #expect(message.text == "new")
          #expect(message.retained)
        }
      }
      writer.publish(topic: "s/1", payload: [], retained: true)
      #expect(await writer.flush(timeout: .seconds(5)))
      try await withConnection(broker.client("reader"), subscriptions: [MQTTSubscription("s/+")]) { reader in
        var events = reader.events.makeAsyncIterator()
        try await untilConnected(&events)
        writer.publish(topic: "s/2", payload: [1])
        #expect(try await nextMessage(&events).topic == "s/2")
      }
    }
  }

  @Test("A filter that is added later takes effect, now and after a reconnect")
  func laterSubscription() async throws {
    let broker = try await BrokerProcess.started()
    try await withConnection(broker.client()) { connection in
      var events = connection.events.makeAsyncIterator()
      try await untilConnected(&events)
      connection.publish(topic: "s", payload: [7], retained: true)
      #expect(await connection.flush(timeout: .seconds(5)))
      try connection.subscribe(to: [MQTTSubscription("s")])
      #expect(try await nextMessage(&events).payload == [7])
      connection.reconnect(after: .zero)
      try await untilConnected(&events)
      #expect(try await nextMessage(&events).payload == [7])
    }
  }

  @Test("10,000 messages at QoS 1 arrive in order and without loss")
  func tenThousand() async throws {
    // By default, mosquitto drops messages when more than 1,000 wait for a subscriber.
    let broker = try await BrokerProcess.started(.with { $0.lines = ["max_queued_messages 20000"] })
    let count = 10_000
    try await withConnection(broker.client("reader") { $0.inboxLimit = 16 << 20 }, subscriptions: [MQTTSubscription("n")]) {
      reader in
      var events = reader.events.makeAsyncIterator()
      try await untilConnected(&events)
      try await withConnection(broker.client("writer") { $0.outboxLimit = 16 << 20 }) { writer in
        for number in 0..<count {
          #expect(writer.publish(topic: "n", payload: Array("\(number)".utf8) + [UInt8](repeating: 32, count: 300)).isAccepted)
        }
        for number in 0..<count {
          let message = try await nextMessage(&events)
          guard message.text.hasPrefix("\(number) ") else {
            Issue.record("expected \(number), got \(message.text.prefix(8))")
            return
          }
        }
        #expect(await writer.flush(timeout: .seconds(10)))
        #expect(writer.statistics.acknowledged == count)
        #expect(writer.statistics.outboxBytes == 0)
      }
    }
  }

  @Test("A slow reader gets the newest state of each topic, within the bound")
  func slowReader() async throws {
    let broker = try await BrokerProcess.started(.with { $0.lines = ["max_queued_messages 0"] })
    let topics = 50
    let rounds = 200
    try await withConnection(broker.client("reader") { $0.inboxLimit = 64 << 10 }, subscriptions: [MQTTSubscription("s/+")]) { reader in
      var events = reader.events.makeAsyncIterator()
      try await untilConnected(&events)
      try await withConnection(broker.client("writer") { $0.outboxLimit = 32 << 20 }) { writer in
        for round in 1...rounds {
          for topic in 0..<topics {
            writer.publish(topic: "s/\(topic)", payload: Array("\(round)".utf8) + [UInt8](repeating: 32, count: 400))
          }
        }
        #expect(await writer.flush(timeout: .seconds(20)))
      }
      #expect(try await eventually { reader.statistics.inboxSuperseded > 0 })
      var latest: [String: Int] = [:]
      while latest.values.contains(where: { $0 < rounds }) || latest.count < topics {
        let message = try await nextMessage(&events)
        let round = Int(message.text.prefix { $0 != " " }) ?? 0
        #expect(round > latest[message.topic, default: 0])
        latest[message.topic] = round
      }
      #expect(reader.state == .connected(connection: 1))
    }
  }

  @Test("More topics than the inbox holds are not lost: the broker keeps them until the reader has caught up")
  func manyTopics() async throws {
    let broker = try await BrokerProcess.started(.with { $0.lines = ["max_queued_messages 0"] })
    let count = 3000
    try await withConnection(broker.client("reader") { $0.inboxLimit = 64 << 10 }, subscriptions: [MQTTSubscription("s/+")]) { reader in
      var events = reader.events.makeAsyncIterator()
      try await untilConnected(&events)
      try await withConnection(broker.client("writer") { $0.outboxLimit = 32 << 20 }) { writer in
        for topic in 0..<count { writer.publish(topic: "s/\(topic)", payload: [UInt8](repeating: 32, count: 200), retained: true) }
        #expect(await writer.flush(timeout: .seconds(20)))
      }
      var topics: Set<String> = []
      while topics.count < count { topics.insert(try await nextMessage(&events).topic) }
    }
    // The same with retained messages, for a new subscriber whose limit is below the bytes that arrive before its second SUBACK.
    let filters = [MQTTSubscription("s/+", quality: .atMostOnce), MQTTSubscription("t/+")]
    try await withConnection(broker.client("late") { $0.inboxLimit = 64 << 10 }, subscriptions: filters) { reader in
      var topics: Set<String> = []
      for await event in reader.events {
        if case .message(let message) = event { topics.insert(message.topic) }
        if topics.count == count { break }
      }
    }
  }

  @Test("Wrong topics, filters and payloads are refused with a reason and harm nobody")
  func garbage() async throws {
    let broker = try await BrokerProcess.started()
    try await withConnection(broker.client("reader") { $0.maximumPayload = 1000 }, subscriptions: [MQTTSubscription("#")]) {
      reader in
      var events = reader.events.makeAsyncIterator()
      try await untilConnected(&events)
      for topic in ["", "a/#", "+", "a\u{0}b", String(repeating: "x", count: 65_536)] {
        #expect(reader.publish(topic: topic, payload: [1]) == .refused(.topic))
      }
      for filter in ["", "a/#/b", "a+", "#a", "\u{0}"] {
        #expect(throws: MQTTError.self) { try reader.subscribe(to: [MQTTSubscription(filter)]) }
      }
      #expect(reader.publish(topic: "a", payload: [UInt8](repeating: 0, count: 1001)) == .refused(.payload))
      try await withConnection(broker.client("writer")) { writer in
        writer.publish(topic: "large", payload: [UInt8](repeating: 0, count: 60_000))
        writer.publish(topic: "bytes", payload: [0xff, 0x00, 0xc3, 0x28])
        writer.publish(topic: "ütf-8/\u{1F980}/ /$x//", payload: [2])
        writer.publish(topic: "last", payload: [3])
        let first = try await nextMessage(&events)
        #expect(first.payload == [0xff, 0x00, 0xc3, 0x28])
        #expect(try await nextMessage(&events).topic == "ütf-8/\u{1F980}/ /$x//")
        #expect(try await nextMessage(&events).topic == "last")
        #expect(reader.statistics.inboxOversized == 1)
      }
    }
  }

  @Test("A configuration that cannot work is refused before anything starts")
  func configuration() async throws {
    let wrong: [(inout MQTTConfiguration) -> Void] = [
      { $0.host = "" }, { $0.port = 0 }, { $0.port = 70_000 }, { $0.clientID = "" }, { $0.keepAlive = .seconds(1) }, { $0.password = "x" },
      { $0.outboxLimit = 0 }, { $0.username = "a\u{0}" }, { $0.reconnect.maximum = .zero },
    ]
    for change in wrong {
      var configuration = MQTTConfiguration(host: "127.0.0.1", clientID: "a")
      change(&configuration)
      await #expect(throws: MQTTError.self) {
        try await MQTTClient.withConnection(configuration, logger: silence) { _ in Issue.record("the scope was entered") }
      }
    }
  }
}

extension BrokerProcess.Options {
  static func with(_ change: (inout Self) throws -> Void) rethrows -> Self {
    var options = Self()
    try change(&options)
    return options
  }
}
