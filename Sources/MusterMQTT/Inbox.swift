/// What arrived and was not read: bounded in bytes.
///
/// Once it is full, a message takes the place of the newest unread one of its topic, because topics carry states and the newest counts.
/// Messages of topics that have none unread still come in, up to a quarter above the limit: then the connection stops reading until the
/// program has caught up, and the broker queues the rest within its own bounds. So the newest message of a topic is never lost here.
struct Inbox {
  let limit: Int
  private(set) var bytes = 0
  private(set) var superseded = 0
  private var queue = KeyedQueue<MQTTEvent>()

  init(limit: Int) {
    self.limit = limit
  }

  var isFull: Bool { bytes >= limit }
  /// Nothing more should be read from the broker. (What the library holds already still comes: a window of messages.)
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
  /// Events of the connection itself share one key: no topic is empty.
  fileprivate var key: String {
    if case .message(let message) = self { message.topic } else { "" }
  }

  fileprivate var cost: Int {
    if case .message(let message) = self { message.cost } else { 96 }
  }
}
