/// Messages that wait to be sent, or that were sent and not acknowledged, bounded in bytes.
///
/// A retained message is a state: the newest state of a topic replaces an older, unsent one. When the outbox is full, the oldest unsent QoS
/// 0 events are dropped first. If that is not enough, the new message is refused and its publisher is told.
struct Outbox {
  struct Item {
    var message: MQTTMessage
    /// If set, the message is sent only on the connection with this number.
    var connection: Int?

    var isState: Bool { message.retained }
    var isExpendable: Bool { !message.retained && message.quality == .atMostOnce }
  }

  typealias Entry = KeyedQueue<Item>.Entry

  /// The largest number of messages that the library has and the broker has not acknowledged.
  static let window = 20

  let limit: Int
  private(set) var bytes = 0
  private(set) var dropped = 0
  private var queue = KeyedQueue<Item>()
  private var inFlight: [Int32: Entry] = [:]
  /// Messages that the owning thread is handing over, or that the library gave back because the connection ended.
  private var inHand: [Entry] = []
  private var expendable = 0

  init(limit: Int) {
    self.limit = limit
  }

  /// The number of the last accepted message. `flush` waits until no message up to it is outstanding.
  var lastSequence: UInt64 { queue.lastSequence }
  var oldestOutstanding: UInt64? {
    [queue.firstSequence, inHand.first?.sequence, inFlight.values.lazy.map(\.sequence).min()].lazy.compactMap(\.self).min()
  }

  mutating func offer(_ item: Item) -> MQTTPublishOutcome {
    var outcome = MQTTPublishOutcome.accepted
    let key = item.isState ? item.message.topic : nil
    let replaced = key.flatMap { queue.removeNewest(key: $0) }
    if let replaced {
      bytes -= replaced.element.message.cost
      outcome = .superseded
    }
    while bytes + item.message.cost > limit, expendable > 0, let old = queue.removeFirst(where: \.isExpendable) {
      forget(old.element)
      dropped += 1
    }
    guard bytes + item.message.cost <= limit else {
      // The new state does not fit. Put the older state back, because an outdated state is better than none.
      if let replaced {
        bytes += replaced.element.message.cost
        queue.append(replaced.element, key: replaced.key)
      }
      dropped += 1
      return .refused(.full)
    }
    bytes += item.message.cost
    if item.isExpendable { expendable += 1 }
    queue.append(item, key: key)
    return outcome
  }

  /// Takes out the messages that may be handed to the library now. `settle` must be called with the results.
  mutating func takeBatch() -> [Entry] {
    var batch: [Entry] = []
    while inFlight.count + inHand.count + batch.count < Self.window, let entry = queue.popFirst() {
      if entry.element.isExpendable { expendable -= 1 }
      batch.append(entry)
    }
    inHand += batch
    return batch
  }

  mutating func settle(_ results: [(Entry, MosquittoSession.HandOver)]) {
    inHand = []
    for (entry, result) in results {
      switch result {
      case .sent, .rejected: bytes -= entry.element.message.cost
      case .flying(let identifier): inFlight[identifier] = entry
      case .returned: inHand.append(entry)
      }
    }
  }

  /// - Returns: whether the acknowledgement belongs to a message of this outbox.
  mutating func acknowledged(_ identifier: Int32) -> Bool {
    guard let entry = inFlight.removeValue(forKey: identifier) else { return false }
    bytes -= entry.element.message.cost
    return true
  }

  /// The largest message that the library has and the broker has not acknowledged.
  var largestUnacknowledged: (topic: String, bytes: Int)? {
    inFlight.values.map { ($0.element.message.topic, $0.element.message.payload.count) }.max { $0.1 < $1.1 }
  }

  /// Handles a lost connection: unacknowledged messages go to the front again, except states that are outdated by now.
  mutating func connectionLost() {
    let returned = (Array(inFlight.values) + inHand).sorted { $0.sequence < $1.sequence }
    inFlight = [:]
    inHand = []
    var kept: [Entry] = []
    var states: Set<String> = []
    for entry in returned.reversed() {
      let key = entry.key
      if entry.element.connection != nil || key.map({ queue.contains(key: $0) || !states.insert($0).inserted }) == true {
        bytes -= entry.element.message.cost
        dropped += 1
      } else {
        kept.append(entry)
        if entry.element.isExpendable { expendable += 1 }
      }
    }
    queue.restore(kept.reversed())
    while let entry = queue.removeFirst(where: { $0.connection != nil }) {
      forget(entry.element)
      dropped += 1
    }
  }

  private mutating func forget(_ item: Item) {
    bytes -= item.message.cost
    if item.isExpendable { expendable -= 1 }
  }
}
