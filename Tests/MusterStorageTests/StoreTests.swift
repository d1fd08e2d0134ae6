import FoundationEssentials
import GRDB
import Glibc
import MusterSchema
import TestSupport
import Testing

@testable import MusterStorage

@Suite struct StoreTests {
  @Test("a new folder is made for its owner only, and counts as created empty until something was committed")
  func creation() async throws {
    let root = try TemporaryFolder()
    let folder = root.file("a/b/state")
    do {
      let store = try StateFolder(folder: folder)
      #expect(store.store.wasCreatedEmpty)
      #expect(try mode(folder) == 0o700)
      #expect(try mode("\(folder)/muster.sqlite") == 0o600)
      #expect(try mode("\(folder)/secret") == 0o600)
    }
    do {
      let store = try StateFolder(folder: folder)
      #expect(store.store.wasCreatedEmpty)
      try await store.append([entry("a")])
    }
    #expect(try !StateFolder(folder: folder).store.wasCreatedEmpty)
  }

  @Test("the secret key is made once")
  func secretKey() throws {
    let root = try TemporaryFolder()
    let first = try StateFolder(folder: root.file("one")).secretKey
    #expect(first.count == 32)
    #expect(try StateFolder(folder: root.file("one")).secretKey == first)
    #expect(try StateFolder(folder: root.file("two")).secretKey != first)
  }

  @Test("a damaged secret key is refused and not replaced")
  func damagedSecretKey() throws {
    let root = try TemporaryFolder()
    _ = try StateFolder(folder: root.path)
    try root.write("short", to: "secret")
    #expect { try StateFolder(folder: root.path) } throws: { "\($0)".contains("must hold 32 bytes") }
  }

  @Test("a second process is kept out, and told by whom")
  func lock() throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    #expect { try StateFolder(folder: root.path) } throws: { error in
      guard case StorageError.busy(let text) = error else { return false }
      return text.contains("in use by process \(getpid())") && text.contains(root.path)
    }
    withExtendedLifetime(store) {}
  }

  @Test("every commit waits for the disk: WAL, synchronous FULL, foreign keys")
  func durability() throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    let pragmas = try store.sqlite.pool.writeWithoutTransaction { database in
      try ["synchronous", "foreign_keys", "journal_mode"].map { try String.fetchOne(database, sql: "PRAGMA \($0)") }
    }
    #expect(pragmas == ["2", "1", "wal"])
  }

  @Test("a newer version's state is refused")
  func newer() throws {
    let root = try TemporaryFolder()
    do {
      let store = try StateFolder(folder: root.path)
      try store.sqlite.pool.write { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('99 from the future')") }
    }
    #expect { try StateFolder(folder: root.path) } throws: { error in
      guard case StorageError.newer(let text) = error else { return false }
      return text.contains("newer version of Muster")
    }
  }

  @Test("a file that is no database is called damaged")
  func corrupt() throws {
    let root = try TemporaryFolder()
    try root.write(String(repeating: "this is no database. ", count: 500), to: "muster.sqlite")
    #expect { try StateFolder(folder: root.path) } throws: { error in
      guard case StorageError.corrupt = error else { return false }
      return true
    }
  }

  @Test("a file where the folder should be is refused in words")
  func notAFolder() throws {
    let root = try TemporaryFolder()
    let file = try root.write("x", to: "file")
    #expect { try StateFolder(folder: file) } throws: { "\($0)".contains("is not a folder") }
    #expect { try StateFolder(folder: "\(file)/below") } throws: { "\($0)".hasPrefix("\(file) is not a folder") }
  }
}

@Suite struct JournalTests {
  @Test("each entry keeps when it was committed, and those of version 0.1.0 have no such time")
  func wallClock() async throws {
    let root = try TemporaryFolder()
    let times = [WallTime(milliseconds: 1_795_913_980_123), WallTime(milliseconds: 1)]
    for (index, time) in times.enumerated() {
      let store = try StateFolder(folder: root.path, wallClock: { time })
      #expect(try await store.append([entry("kind-\(index)")]) == time)
    }
    let store = try StateFolder(folder: root.path)
    try await store.sqlite.pool.write { try $0.execute(sql: "UPDATE journal SET committed = NULL WHERE kind = 'kind-1'") }
    #expect(try await store.entries(machine: "coordinator").map(\.committed) == [times[0], nil])
  }

  private func with(_ entry: JournalEntry, committed: WallTime?) -> JournalEntry {
    var entry = entry
    entry.committed = committed
    return entry
  }

  @Test("entries come back in the order of appending, each to its machine, also after a restart")
  func order() async throws {
    let root = try TemporaryFolder()
    let entries = (0..<100).map { entry("kind-\($0 % 3)", at: Int64($0), body: "{\"n\":\($0)}") }
    do {
      let store = try StateFolder(folder: root.path)
      try await store.append(Array(entries[..<40]))
      try await store.append([entry("other", machine: "participant")])
      try await store.append(Array(entries[40...]))
    }
    let store = try StateFolder(folder: root.path)
    #expect(try await store.entries(machine: "coordinator").map { with($0, committed: nil) } == entries)
    #expect(try await store.entries(machine: "participant").count == 1)
    #expect(try await store.entries(machine: "nobody").isEmpty)
  }

  @Test("compaction removes a range and appends in the same transaction")
  func replacing() async throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    let (one, two) = (try TaskID(validating: "one"), try TaskID(validating: "two"))
    try await store.append([
      entry("opened", task: one, at: 1), entry("contributed", task: one, at: 2), entry("contributed", task: two, at: 3),
      entry("contributed", task: one, at: 9), entry("contributed", task: nil, at: 1),
    ])
    try await store.append(
      [entry("completed", task: one, at: 10)],
      replacing: [JournalRange(machine: "coordinator", task: one, kinds: ["contributed"], before: 9)])
    #expect(
      try await store.entries(machine: "coordinator").map { "\($0.kind) \($0.task?.rawValue ?? "-") \($0.at)" } == [
        "opened one 1", "contributed two 3", "contributed one 9", "contributed - 1", "completed one 10",
      ])
    try await store.forget(machine: "coordinator", task: one)
    #expect(try await store.entries(machine: "coordinator").map(\.task) == [two, nil])
  }

  @Test("the machine's last instant outlives its entries and never goes back")
  func lastInstant() async throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    #expect(try await store.store.lastInstant(machine: "coordinator") == 0)
    let task = try TaskID(validating: "one")
    try await store.append([entry("a", task: task, at: 50), entry("b", task: task, at: 20)])
    try await store.forget(machine: "coordinator", task: task)
    #expect(try await store.store.lastInstant(machine: "coordinator") == 50)
  }

  @Test("a failing append leaves nothing of itself")
  func atomic() async throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    try await store.append([entry("a")])
    try await store.sqlite.pool.write {
      try $0.execute(sql: "CREATE TRIGGER no BEFORE INSERT ON journal WHEN NEW.kind = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END")
    }
    await #expect(throws: StorageError.self) {
      try await store.append([entry("b"), entry("bad")], replacing: [JournalRange(machine: "coordinator", task: nil)])
    }
    #expect(try await store.entries(machine: "coordinator").map(\.kind) == ["a"])
  }

  @Test("a cancelled task still commits what it began")
  func cancelled() async throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    let task = Task {
      while !Task.isCancelled { await Task.yield() }
      try await store.append([entry("a")])
    }
    task.cancel()
    try await task.value
    #expect(try await store.entries(machine: "coordinator").count == 1)
  }

  @Test("many appends at once all arrive, each whole")
  func concurrent() async throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in 0..<40 {
        group.addTask { try await store.append((0..<5).map { entry("w\(writer)", at: Int64($0)) }) }
      }
      try await group.waitForAll()
    }
    let kinds = try await store.entries(machine: "coordinator").map(\.kind)
    #expect(kinds.count == 200)
    // The rows of one transaction are next to each other.
    #expect(stride(from: 0, to: 200, by: 5).allSatisfy { Set(kinds[$0..<$0 + 5]).count == 1 })
  }
}

func entry(
  _ kind: String, machine: String = "coordinator", task: TaskID? = nil, at: Int64 = 1, body: String = "{}"
) -> JournalEntry {
  JournalEntry(machine: machine, task: task, kind: kind, at: at, body: Array(body.utf8))
}

func mode(_ path: String) throws -> mode_t {
  var status = stat()
  guard stat(path, &status) == 0 else { throw TestSupportError("\(path) is not there") }
  return status.st_mode & 0o777
}
