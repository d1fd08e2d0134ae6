import MusterGround
import MusterParticipation
import MusterSchema
import TestSupport
import Testing

@testable import MusterAgent

@Suite struct JournalTests {
  let folder: TemporaryFolder
  let path: String

  init() throws {
    folder = try TemporaryFolder()
    path = folder.file("journal.json")
  }

  private func invitation(_ task: String, round: Int = 1) -> Invitation {
    Invitation(
      task: TaskID(unchecked: task), revision: 1, key: RoundKey(round: round, phase: .train, attempt: 1), quota: 1, minimum: 1,
      base: ModelReference(digest: Digest(of: []), bytes: 0), upload: "http://h/", ticket: Ticket("t"), seed: 1, secondsLeft: 60,
      startWithin: 0)
  }

  @Test("What was committed is there again, with its time, and what it supersedes is not")
  func roundTrip() throws {
    var (journal, warning) = try Journal.open(path)
    #expect(warning == nil)
    let one = invitation("one")
    let result = JobResult(file: "update.safetensors", digest: Digest(of: [1]), bytes: 1)
    try journal.commit([.taken(one)], at: Instant(milliseconds: 5))
    try journal.commit([.ready(one.task, one.key, result)], at: Instant(milliseconds: 9))
    try Journal.flush(journal.path)
    var restored = try Journal.open(path).journal
    #expect(restored.at == Instant(milliseconds: 9))
    #expect(restored.records.map(\.record) == [.taken(one), .ready(one.task, one.key, result)])
    try restored.commit([.delivered(one.task, one.key)], at: Instant(milliseconds: 12))
    #expect(try Journal.open(path).journal.records.map(\.record) == [.delivered(one.task, one.key)])
  }

  @Test("It stays small however many tasks pass, and never forgets one that is not done")
  func bounded() throws {
    var journal = try Journal.open(path).journal
    let open = invitation("open")
    try journal.commit([.taken(open)], at: .zero)
    for number in 0..<100 {
      let passing = invitation("task-\(number)")
      try journal.commit([.taken(passing), .dropped(passing.task, passing.key)], at: .zero)
    }
    #expect(journal.records.count == 17)
    #expect(journal.records.first?.record == .taken(open))
  }

  @Test("A file that is not understood is set aside, a newer one is not touched")
  func damaged() throws {
    try folder.write("{\"version\":1,\"at\":", to: "journal.json")
    let (journal, warning) = try Journal.open(path)
    #expect(journal.records.isEmpty)
    #expect(warning != nil)
    #expect(Files.exists("\(path).damaged"))
    try folder.write("{\"version\":2}", to: "journal.json")
    #expect(throws: AgentError.self) { try Journal.open(path) }
    #expect(Files.exists(path))
  }

  @Test("Its secrets are for its owner only")
  func mode() throws {
    var journal = try Journal.open(path).journal
    try journal.commit([.taken(invitation("one"))], at: .zero)
    #expect(Files.mode(path) == 0o600)
  }
}
