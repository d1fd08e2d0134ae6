import TestSupport
import Testing

@testable import MusterMQTT

struct OutboxTests {
  private func item(
    _ topic: String, _ text: String = "x", retained: Bool = false, quality: MQTTQuality = .atLeastOnce, on connection: Int? = nil
  )
    -> Outbox.Item
  {
    Outbox.Item(
      message: MQTTMessage(topic: topic, payload: Array(text.utf8), quality: quality, retained: retained), connection: connection)
  }

  private func drain(_ outbox: inout Outbox) -> [String] {
    var texts: [String] = []
    while case let batch = outbox.takeBatch(), !batch.isEmpty {
      texts += batch.map { String(decoding: $0.element.message.payload, as: UTF8.self) }
      outbox.settle(batch.map { ($0, .sent) })
    }
    return texts
  }

  @Test("The newest state of a topic takes the place of an unsent one; events all stay")
  func newestWins() {
    var outbox = Outbox(limit: 10_000)
    #expect(outbox.offer(item("s", "1", retained: true)) == .accepted)
    #expect(outbox.offer(item("e", "a")) == .accepted)
    #expect(outbox.offer(item("e", "b")) == .accepted)
    #expect(outbox.offer(item("s", "2", retained: true)) == .superseded)
    #expect(drain(&outbox) == ["a", "b", "2"])
    #expect(outbox.bytes == 0)
  }

  @Test("When it is full, QoS 0 events make room first, then newcomers are refused, and the bytes never pass the limit")
  func full() {
    let cost = item("e").message.cost
    var outbox = Outbox(limit: 3 * cost)
    #expect(outbox.offer(item("e", "1", quality: .atMostOnce)) == .accepted)
    #expect(outbox.offer(item("e", "2")) == .accepted)
    #expect(outbox.offer(item("s", "3", retained: true)) == .accepted)
    #expect(outbox.offer(item("e", "4")) == .accepted)
    #expect(outbox.dropped == 1)
    #expect(outbox.offer(item("e", "5")) == .refused(.full))
    #expect(outbox.offer(item("s", "6", retained: true)) == .superseded)
    #expect(outbox.offer(item("s", String(repeating: "7", count: 1000), retained: true)) == .refused(.full))
    #expect(outbox.bytes == 3 * cost)
    #expect(drain(&outbox) == ["2", "4", "6"])
  }

  @Test("What is not acknowledged when the connection goes is sent again, before the rest, unless a newer state exists")
  func lost() {
    var outbox = Outbox(limit: 10_000)
    _ = outbox.offer(item("s", "old", retained: true))
    _ = outbox.offer(item("e", "1"))
    _ = outbox.offer(item("e", "2"))
    _ = outbox.offer(item("birth", "b", retained: true, on: 1))
    let batch = outbox.takeBatch()
    #expect(batch.count == 4)
    outbox.settle(batch.enumerated().map { ($0.element, .flying(Int32($0.offset))) })
    #expect([1, 1, 99].map { outbox.acknowledged($0) } == [true, false, false])
    _ = outbox.offer(item("e", "3"))
    _ = outbox.offer(item("s", "new", retained: true))
    _ = outbox.offer(item("other", "b2", retained: true, on: 1))
    outbox.connectionLost()
    #expect(drain(&outbox) == ["2", "3", "new"])
    #expect(outbox.bytes == 0)
    #expect(outbox.oldestOutstanding == nil)
  }

  @Test("No more than the window is out at a time")
  func window() {
    var outbox = Outbox(limit: 100_000)
    for number in 0..<50 { _ = outbox.offer(item("e", "\(number)")) }
    let batch = outbox.takeBatch()
    #expect(batch.count == Outbox.window)
    #expect(outbox.takeBatch().isEmpty)
    outbox.settle(batch.enumerated().map { ($0.element, .flying(Int32($0.offset))) })
    #expect(outbox.takeBatch().isEmpty)
    let isOurs = outbox.acknowledged(3)
    #expect(isOurs)
    #expect(outbox.takeBatch().count == 1)
  }

  @Test("A queue gives its elements in order whatever is taken out of the middle, and numbers keep growing")
  func keyedQueue() throws {
    var queue = KeyedQueue<Int>()
    var generator = SeededGenerator(seed: 7)
    var model: [(sequence: UInt64, key: String, value: Int)] = []
    for value in 0..<20_000 {
      switch UInt8.random(in: 0..<8, using: &generator) {
      case 0..<4:
        let key = "\(UInt8.random(in: 0..<100, using: &generator))"
        queue.append(value, key: key)
        model.append((queue.lastSequence, key, value))
      case 4, 5:
        let popped = queue.popFirst()
        try #require(popped?.element == model.first?.value)
        if !model.isEmpty { model.removeFirst() }
      case 6:
        let key = "\(UInt8.random(in: 0..<100, using: &generator))"
        if let removed = queue.removeNewest(key: key) {
          let index = try #require(model.firstIndex { $0.sequence == removed.sequence })
          try #require(model[index].key == key)
          model.remove(at: index)
        }
      default:
        let count = Int.random(in: 0..<4, using: &generator)
        let taken = (0..<count).compactMap { _ in queue.popFirst() }
        queue.restore(taken)
      }
      try #require(queue.count == model.count)
      try #require(queue.firstSequence == model.first?.sequence)
    }
  }
}
