/// Future events, sorted by time and, at the same time, by the order in which they were added: a binary heap of plain numbers over slots.
struct EventQueue {
  enum Event {
    /// A packet reaches the broker.
    case arrival(Connection, Packet)
    /// A packet reaches the client.
    case delivery(Connection, Packet, retained: Bool)
    case action((World) -> Void)
  }

  private struct Entry {
    var time: Int64
    var order: UInt64
    var slot: Int

    func isBefore(_ other: Entry) -> Bool { time != other.time ? time < other.time : order < other.order }
  }

  private var heap: [Entry] = []
  private var slots: [Event?] = []
  private var free: [Int] = []
  private var order: UInt64 = 0

  var count: Int { heap.count }
  var nextTime: Int64? { heap.first?.time }

  mutating func add(_ event: Event, at time: Int64) {
    let slot: Int
    if let reused = free.popLast() {
      slot = reused
      slots[slot] = event
    } else {
      slot = slots.count
      slots.append(event)
    }
    order += 1
    heap.append(Entry(time: time, order: order, slot: slot))
    rise(heap.count - 1)
  }

  mutating func popFirst() -> (time: Int64, event: Event)? {
    guard let first = heap.first, let event = slots[first.slot] else { return nil }
    slots[first.slot] = nil
    free.append(first.slot)
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      sink(0)
    }
    return (first.time, event)
  }

  mutating func removeAll() {
    heap = []
    slots = []
    free = []
  }

  private mutating func rise(_ start: Int) {
    var index = start
    let entry = heap[index]
    while index > 0 {
      let parent = (index - 1) / 2
      guard entry.isBefore(heap[parent]) else { break }
      heap[index] = heap[parent]
      index = parent
    }
    heap[index] = entry
  }

  private mutating func sink(_ start: Int) {
    var index = start
    let entry = heap[index]
    while true {
      var child = 2 * index + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1].isBefore(heap[child]) { child += 1 }
      guard heap[child].isBefore(entry) else { break }
      heap[index] = heap[child]
      index = child
    }
    heap[index] = entry
  }
}
