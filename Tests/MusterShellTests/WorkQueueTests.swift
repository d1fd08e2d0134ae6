import MusterShell
import Testing

@Suite("Long work in a queue")
struct WorkQueueTests {
  @Test("pieces run in the order in which they were added, at most as many at once as the queue is wide")
  func width() {
    var queue = WorkQueue<String, Int>(width: 2)
    for (index, key) in ["a", "b", "c"].enumerated() { queue.add(key, index) }
    #expect(queue.take()?.item == 0 && queue.take()?.item == 1 && queue.take() == nil)
    _ = queue.ended("b", .finished)
    #expect(queue.take()?.key == "c" && queue.take() == nil && queue.count == 2)
  }

  @Test("a key runs at most once at a time; what waits takes the newer content")
  func once() {
    var queue = WorkQueue<String, Int>(width: 4)
    queue.add("a", 1)
    queue.add("a", 2)
    #expect(queue.count == 1 && queue.take()?.item == 2)
    queue.add("a", 3)
    #expect(queue.count == 1, "the same work runs already")
    queue.add("a", 4, again: true)
    #expect(queue.count == 2 && queue.take() == nil, "it runs once more, afterwards")
    queue.add("b", 5)
    #expect(queue.take()?.item == 5, "another key does not wait for it")
    _ = queue.ended("a", .finished)
    #expect(queue.take()?.item == 4)
  }

  @Test("a piece that is to be tried again lets others run until its pause is over")
  func pauses() {
    var queue = WorkQueue<String, Int>(width: 1)
    queue.add("a", 1)
    queue.add("b", 2)
    _ = queue.take()
    let pause = queue.ended("a", .again(3, after: 8))
    #expect(pause == 8 && queue.count == 2 && queue.contains { $0 == 3 })
    queue.add("a", 4)
    #expect(queue.count == 2, "the same work pauses already")
    #expect(queue.take()?.item == 2 && queue.take() == nil)
    queue.resume("a")
    #expect(queue.take() == nil, "the other one runs")
    _ = queue.ended("b", .finished)
    #expect(queue.take()?.item == 3 && queue.count == 1)
  }

  @Test("newer work takes the place of the piece that is to be tried again")
  func replaced() {
    var queue = WorkQueue<String, Int>(width: 1)
    queue.add("a", 1)
    _ = queue.take()
    queue.add("a", 2, again: true)
    let pause = queue.ended("a", .again(1, after: 8))
    #expect(pause == nil && queue.count == 1 && queue.take()?.item == 2)
    _ = queue.ended("a", .again(2, after: 8))
    queue.add("a", 3, again: true)
    queue.resume("a")
    #expect(queue.count == 1 && queue.take()?.item == 3)
  }

  @Test("what waits and what runs can be found")
  func contains() {
    var queue = WorkQueue<String, Int>(width: 1)
    queue.add("a", 1)
    queue.add("b", 2)
    _ = queue.take()
    #expect(queue.contains { $0 == 1 } && queue.contains { $0 == 2 } && !queue.contains { $0 == 3 })
    _ = queue.ended("a", .finished)
    #expect(!queue.contains { $0 == 1 })
  }
}

@Suite("Letters on their way into a machine")
struct InboxTests {
  @Test("letters leave in the order in which they came, and a full inbox takes none")
  func order() {
    var inbox = Inbox<Int, String>(capacity: 3)
    for number in 1...5 { #expect(inbox.offer(Letter(number, "sender \(number)")) == (number <= 3)) }
    #expect(inbox.isFull && inbox.count == 3)
    #expect(inbox.drain(2).map(\.event) == [1, 2] && inbox.count == 1)
    #expect(inbox.offer(Letter(6)) && inbox.drain().map(\.event) == [3, 6] && inbox.isEmpty)
  }
}
