import Logging
import MusterMQTT
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1)))
struct MQTTReconnectTests {
  @Test("After a restart of the broker the client is back, subscribed, and delivers what waited")
  func restart() async throws {
    let broker = try await BrokerProcess.started()
    try await withConnection(broker.client(), subscriptions: [MQTTSubscription("a/+")]) { connection in
      var events = connection.events.makeAsyncIterator()
      let first = try await untilConnected(&events)
      try await broker.kill()
      _ = try await untilDisconnected(&events)
      #expect(connection.state != .connected(connection: first))
      connection.publish(topic: "a/state", payload: Array("old".utf8), retained: true)
      connection.publish(topic: "a/event", payload: Array("event".utf8))
      #expect(connection.publish(topic: "a/state", payload: Array("new".utf8), retained: true) == .superseded)
      #expect(connection.publish(topic: "a/birth", payload: [1], retained: true, on: first) == .refused(.connection))
      try await broker.start()
      let second = try await untilConnected(&events)
      #expect(second > first)
      #expect(try await nextMessage(&events).text == "event")
      #expect(try await nextMessage(&events).text == "new")
      #expect(connection.statistics.connections == 2)
      #expect(connection.publish(topic: "a/birth", payload: [1], on: second) == .accepted)
      #expect(try await nextMessage(&events).topic == "a/birth")
    }
  }

  @Test("Without a broker at the start the client waits, says why, and connects when it appears")
  func noBroker() async throws {
    let broker = try await BrokerProcess()
    try await withConnection(broker.client(), subscriptions: [MQTTSubscription("a")]) { connection in
      var events = connection.events.makeAsyncIterator()
      let error = try await untilDisconnected(&events)
      guard case .unreachable(let why) = error else {
        Issue.record("unexpected: \(error)")
        return
      }
      #expect(why.contains("refused") && why.contains("\(broker.port)"))
      connection.publish(topic: "a", payload: [5])
      #expect(await connection.flush(timeout: .milliseconds(50)) == false)
      try await broker.start()
      try await untilConnected(&events)
      #expect(try await nextMessage(&events).payload == [5])
      #expect(await connection.flush(timeout: .seconds(5)))
    }
  }

  @Test("A broker that accepts and says nothing is given up in time, and found again when it wakes")
  func frozen() async throws {
    let broker = try await BrokerProcess.started()
    broker.freeze()
    try await withConnection(broker.client { $0.connectTimeout = .milliseconds(200) }) { connection in
      var events = connection.events.makeAsyncIterator()
      guard case .timedOut = try await untilDisconnected(&events) else {
        Issue.record("the attempt did not time out")
        return
      }
      broker.thaw()
      try await untilConnected(&events)
    }
  }

  @Test("A name that does not resolve is a state with a reason, and the scope can be left")
  func unknownHost() async throws {
    let broker = try await BrokerProcess()
    try await withConnection(broker.client { $0.host = "broker.invalid" }) { connection in
      var events = connection.events.makeAsyncIterator()
      let error = try await untilDisconnected(&events)
      #expect("\(error)".contains("broker.invalid cannot be resolved"))
    }
  }

  @Test("`localhost` reaches a broker that listens on IPv4 only")
  func localhost() async throws {
    let broker = try await BrokerProcess.started()
    try await withConnection(broker.client { $0.host = "localhost" }) { connection in
      var events = connection.events.makeAsyncIterator()
      let event = await events.next()
      #expect(event == .connected(connection: 1))
    }
  }

  @Test("Refused credentials: a visible state with a reason, a loud log, no attempt within 5 s, and everything else goes on")
  func refused() async throws {
    let broker = try await BrokerProcess.started(.with { $0.users = ["pi-1": "right"] })
    let log = LogRecorder()
    var configuration = MQTTConfiguration(host: "127.0.0.1", port: broker.port, clientID: "pi-1")
    configuration.username = "pi-1"
    configuration.password = "wrong-secret"
    try await MQTTClient.withConnection(configuration, logger: log.logger) { connection in
      var events = connection.events.makeAsyncIterator()
      let error = try await untilDisconnected(&events)
      #expect(error == .refused(.notAuthorized) || error == .refused(.credentials))
      #expect("\(error)".contains("password"))
      #expect(try await eventually { if case .waiting = connection.state { true } else { false } })
      if case .waiting(let until, let reason) = connection.state {
        #expect(until - .now > .seconds(4))
        #expect(reason == error)
      }
      #expect(log.lines(with: "password").contains { $0.hasPrefix("error ") })
      #expect(log.lines(with: "wrong-secret").isEmpty)
      connection.publish(topic: "a", payload: [1])
      #expect(connection.statistics.outboxBytes > 0)
    }
  }

  @Test("The Will comes when the connection is cut, each connection with its own, and not after an orderly end")
  func will() async throws {
    let broker = try await BrokerProcess.started()
    try await withConnection(broker.client("watcher"), subscriptions: [MQTTSubscription("n/+")]) { watcher in
      var events = watcher.events.makeAsyncIterator()
      try await untilConnected(&events)
      let asked = Mutex<[Int]>([])
      let will: @Sendable (Int) -> MQTTMessage = { number in
        asked.withLock { $0.append(number) }
        return MQTTMessage(topic: "n/will", payload: Array("session \(number)".utf8), retained: true)
      }
      let last = try await withConnection(broker.client("node"), will: will) { node in
        var nodeEvents = node.events.makeAsyncIterator()
        let first = try await untilConnected(&nodeEvents)
        node.reconnect(after: .zero)
        #expect(try await untilDisconnected(&nodeEvents) == .requested)
        #expect(try await nextMessage(&events).text == "session \(first)")
        let second = try await untilConnected(&nodeEvents)
        #expect(second != first)
        // A second client with the same id takes over the connection, as the replacement of a lost machine would.
        try await withConnection(broker.client("node")) { _ in
          let message = try await nextMessage(&events)
          #expect(message.text == "session \(second)")
        }
        #expect(asked.withLock { $0.contains(first) && $0.contains(second) })
        #expect(try await eventually { node.state.connection.map { $0 > second } == true })
        return node.state.connection
      }
      let number = try #require(last)
      try await withConnection(broker.client("end")) { other in
        other.publish(topic: "n/end", payload: [])
        // The two clients with one id may have taken the connection from each other several times, but the last one disconnected in order.
        while case let message = try await nextMessage(&events), message.topic != "n/end" {
          #expect(message.text != "session \(number)")
        }
      }
    }
  }

  @Test("A client whose process is killed leaves its Will")
  func killed() async throws {
    let broker = try await BrokerProcess.started()
    try await withConnection(broker.client(), subscriptions: [MQTTSubscription("n/+")]) { watcher in
      var events = watcher.events.makeAsyncIterator()
      try await untilConnected(&events)
      let arguments = ["-p", "\(broker.port)", "-t", "x", "--will-topic", "n/will", "--will-payload", "gone"]
      let process = try ChildProcess("mosquitto_sub", arguments, log: broker.folder.file("sub.log"))
      #expect(try await eventually { broker.log.contains("Sending SUBACK to auto") })
      process.signal(9)
      #expect(try await nextMessage(&events).text == "gone")
    }
  }

  @Test("Offline, the outbox keeps the newest states within its bound and delivers just these")
  func offline() async throws {
    let broker = try await BrokerProcess()
    try await withConnection(broker.client { $0.outboxLimit = 20_000 }, subscriptions: [MQTTSubscription("#")]) { connection in
      for round in 1...100 {
        for topic in 0..<20 {
          #expect(connection.publish(topic: "s/\(topic)", payload: Array("\(round)".utf8), retained: true).isAccepted)
        }
        connection.publish(topic: "progress", payload: [UInt8](repeating: 0, count: 2000), quality: .atMostOnce)
      }
      let refused = connection.publish(topic: "large", payload: [UInt8](repeating: 0, count: 30_000))
      #expect(refused == .refused(.full))
      #expect(connection.statistics.outboxBytes <= 20_000)
      #expect(connection.statistics.outboxDropped > 50)
      try await broker.start()
      var events = connection.events.makeAsyncIterator()
      var states: [String: [String]] = [:]
      while states.count < 20 {
        let message = try await nextMessage(&events)
        if message.topic.hasPrefix("s/") { states[message.topic, default: []].append(message.text) }
      }
      #expect(states.values.allSatisfy { $0 == ["100"] })
    }
  }

  @Test("Leaving the scope ends readers and flushes, and publishing says so")
  func leaving() async throws {
    let broker = try await BrokerProcess()
    let (connection, reading) = try await withConnection(broker.client()) { connection in
      connection.publish(topic: "a", payload: [1])
      async let flushed = connection.flush(timeout: .seconds(30))
      let events = connection.events
      var iterator = events.makeAsyncIterator()
      _ = await iterator.next()
      // Closes the connection while the flush still waits, which must end the flush.
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await connection.close() }
        try await group.waitForAll()
      }
      #expect(await flushed == false)
      return (connection, events)
    }
    for await event in reading {
      guard case .disconnected = event else {
        Issue.record("unexpected: \(event)")
        continue
      }
    }
    #expect(connection.state == .closed)
    #expect(connection.publish(topic: "a", payload: [1]) == .refused(.closed))
    #expect(await connection.flush(timeout: .seconds(1)) == false)
  }
}
