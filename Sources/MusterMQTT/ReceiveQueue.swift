/// Events that arrived and were not read yet, bounded in bytes.
///
/// Once it is full, a message replaces the newest unread message of its topic, because topics carry states and only the newest state
/// matters. Messages of topics without an unread message still come in, up to a quarter above the limit. Then the connection stops reading
/// until the program has caught up, and the broker queues the rest within its own bounds. So the newest message of a topic is never lost.
struct ReceiveQueue {
  let limit: Int
  private(set) var bytes = 0
  private(set) var superseded = 0
  private var queue = KeyedQueue<MQTTEvent>()

  init(limit: Int) {
    self.limit = limit
  }

  var isFull: Bool { bytes >= limit }
  /// Whether to stop reading from the broker. Messages that the library holds already, at most a window of them, still come in.
  var isOverfull: Bool { bytes >= limit + limit / 4 }
  var isEmpty: Bool { queue.isEmpty }

  mutating func append(_ event: MQTTEvent) {
    if isFull, let older = queue.removeNewest(key: event.key) {
      bytes -= older.element.cost
      superseded += 1
    }
    bytes += event.cost
    queue.append(event, key: event.key)
  }

  mutating func popFirst() -> MQTTEvent? {
    guard let entry = queue.popFirst() else { return nil }
    bytes -= entry.element.cost
    return entry.element
  }
}

extension MQTTEvent {
  /// The topic of a message. Events of the connection itself share the empty key, which no topic has.
  fileprivate var key: String {
    if case .message(let message) = self { message.topic } else { "" }
  }

  fileprivate var cost: Int {
    if case .message(let message) = self { message.cost } else { 96 }
  }
}
