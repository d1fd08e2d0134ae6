import MusterCoordination
import MusterGround
import MusterSchema
import MusterStorage
import Synchronization
import TestSupport
import Testing

@testable import MusterServer
@testable import MusterShell

@Suite("The mailbox of a machine", .timeLimit(.minutes(1)))
struct MailboxTests {
  @Test("what arrives while a batch is under way waits for the next one")
  func meanwhile() async {
    let mailbox = Mailbox<Int>()
    await mailbox.post(1)
    #expect(mailbox.drain(.max).map(\.event) == [1])
    await mailbox.post(2)
    await mailbox.wait(until: nil)
    #expect(mailbox.drain(.max).map(\.event) == [2])
  }

  @Test("a full mailbox refuses what is offered, and makes whoever posts wait for room; the order stays")
  func full() async throws {
    let mailbox = Mailbox<Int>(capacity: 2)
    #expect(mailbox.offer(1) && mailbox.offer(2) && !mailbox.offer(3))
    let hasPosted = Mutex(false)
    let posting = Task {
      await mailbox.post(4)
      hasPosted.withLock { $0 = true }
    }
    #expect(mailbox.count == 2 && !hasPosted.withLock { $0 })
    #expect(mailbox.drain(1).map(\.event) == [1])
    await posting.value
    #expect(mailbox.drain(.max).map(\.event) == [2, 4])
  }

  @Test("a full mailbox is busy for whoever waits for a word")
  func busy() async {
    let mailbox = Mailbox<Int>(capacity: 1)
    await mailbox.post(1)
    guard case .busy = await mailbox.submit(2) else {
      Issue.record("there is no room")
      return
    }
  }

  @Test("when nobody reads any more, all who wait are told, now and later")
  func closed() async throws {
    let mailbox = Mailbox<Int>(capacity: 1)
    let waiting = Task { await mailbox.submit(1) }
    #expect(try await eventually { mailbox.count == 1 })
    let posting = Task { await mailbox.post(2) }
    mailbox.close()
    guard case .busy = await waiting.value, case .busy = await mailbox.submit(3) else {
      Issue.record("nobody reads")
      return
    }
    await posting.value
    await mailbox.post(4)
    #expect(mailbox.count == 0)
  }

  @Test("a reader is woken by a letter, by its time, and by being cancelled")
  func waiting() async {
    let mailbox = Mailbox<Int>()
    await mailbox.wait(until: .now + .milliseconds(1))
    let cancelled = Task { await mailbox.wait(until: nil) }
    cancelled.cancel()
    await cancelled.value
    let reading = Task { await mailbox.wait(until: nil) }
    await mailbox.post(1)
    await reading.value
    #expect(mailbox.count == 1)
  }
}

@Suite("Uploads that wait for the machine's word", .timeLimit(.minutes(1)))
struct ContributionRepliesTests {
  private static let task = TaskID(unchecked: "digits")

  private func event(_ reply: Coordinator.Reply) -> Coordinator.Event {
    let record = ContributionRecord(
      path: NodePath(NodeID(unchecked: "north"), NodeID(unchecked: "pi-1")), digest: Digest(of: [1]), weight: 1, bytes: 1, metrics: [:])
    return .contribution(Self.task, round: 1, phase: .train, record, reply: reply)
  }

  /// Asks, passes the reply to the closure, and returns the answer or the status of the error.
  private func ask(_ replies: ContributionReplies, _ then: @escaping @Sendable (Coordinator.Reply) -> Bool) async -> String {
    do {
      return "\(try await replies.ask(then))"
    } catch {
      return "\(error.status)"
    }
  }

  @Test("each gets its own answer")
  func answers() async {
    let replies = ContributionReplies()
    let asked = Mutex<[Coordinator.Reply]>([])
    let first = Task { await ask(replies) { reply in asked.withLock { $0.append(reply) } == () } }
    #expect(await ask(replies) { replies.resolve($0, .same) == () } == "same")
    let isAsked = try? await eventually { asked.withLock { $0.count == 1 } }
    #expect(isAsked == true)
    for reply in asked.withLock({ $0 }) { replies.resolve(reply, .stored) }
    #expect(await first.value == "stored")
  }

  @Test("a full mailbox, a commit that failed, and a shell that ends are answered, too")
  func failures() async {
    let replies = ContributionReplies()
    #expect(await ask(replies) { _ in false } == "503")
    let failed = await ask(replies) { reply in
      replies.failed([.tick, event(reply)], .diskFull("x"))
      return true
    }
    #expect(failed == "507")
    let stopped = await ask(replies) { _ in
      replies.stopped()
      return true
    }
    #expect(stopped == "503")
  }
}
