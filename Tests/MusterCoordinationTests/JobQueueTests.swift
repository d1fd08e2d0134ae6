import MusterSchema
import Testing

@testable import MusterParticipation

@Suite("The steps of a device's jobs")
struct JobQueueTests {
  private func step(_ kind: JobQueue.Kind, _ task: TaskID = .digits, round: Int = 1, attempt: Int = 1) -> JobQueue.Step {
    let invitation = Invitation(
      task: task, revision: 1, key: RoundKey(round: round, phase: .train, attempt: attempt), quota: 1, minimum: 1,
      base: ModelReference(digest: Digest(of: "base"), bytes: 10), upload: "http://central:7400/v1/x", seed: 5, secondsLeft: 600,
      startWithin: 0)
    return JobQueue.Step(kind, Job(invitation: invitation, stage: .uploading))
  }

  @Test("are carried out one at a time, in order")
  func step() {
    var book = JobQueue()
    #expect(book.place(step(.train)) == .waits && book.place(step(.ask, .other)) == .waits)
    #expect(book.take()?.kind == .train && book.take() == nil && book.count == 2)
    book.end()
    #expect(book.take()?.job.task == .other)
    book.end()
    #expect(book.take() == nil && book.count == 0)
  }

  @Test("an order that is under way is hurried, one that waits is replaced by the newer one")
  func again() {
    var book = JobQueue()
    #expect(book.place(step(.upload)) == .waits)
    _ = book.take()
    #expect(book.place(step(.upload, attempt: 2)) == .hurries, "an attempt is not part of what a job is")
    for attempt in 1...100 { #expect(book.place(step(.upload, .other, attempt: attempt)) == .waits) }
    #expect(book.count == 2)
    book.end()
    #expect(book.take()?.job.key.attempt == 100)
  }

  @Test("a job that is dropped takes its orders along, and says whether one of them is under way")
  func cancel() {
    var book = JobQueue()
    for kind in [JobQueue.Kind.ask, .upload] { #expect(book.place(step(kind)) == .waits) }
    #expect(book.place(step(.train, round: 2)) == .waits)
    _ = book.take()
    let (isFirst, isSecond) = (book.cancel(.digits, step(.ask).job.key), book.cancel(.digits, step(.ask, round: 2).job.key))
    #expect(isFirst && !isSecond && book.count == 1, "only what is under way is left, until it has ended")
  }
}

@Suite("What a device remembers over a restart")
struct ParticipantMemoryTests {
  private func dropped(_ number: Int) -> Participant.Record {
    .dropped(TaskID(unchecked: "task-\(number)"), RoundKey(round: 1, phase: .train, attempt: 1))
  }

  @Test("a record takes the place of those that it supersedes; of ended tasks the newest sixteen are kept")
  func bounds() throws {
    var memory = ParticipantMemory()
    for number in 1...40 { memory.commit([dropped(number), dropped(number)], at: Instant(milliseconds: Int64(number))) }
    #expect(memory.records.map(\.record.task.rawValue) == (25...40).map { "task-\($0)" })
    #expect(memory.records.last?.at == Instant(milliseconds: 40))
    let again = try JSON.decode(ParticipantMemory.self, from: try JSON.encode(memory))
    #expect(again.records.map(\.record) == memory.records.map(\.record))
  }
}
