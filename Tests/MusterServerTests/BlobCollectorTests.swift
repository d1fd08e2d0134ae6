import Glibc
import MusterSchema
import MusterStorage
import TestSupport
import Testing

@testable import MusterServer

@Suite("What nothing refers to any more")
struct BlobCollectorTests {
  private func blob(_ store: StateFolder, _ text: String) throws -> Digest {
    let staged = try store.stage()
    try staged.write(Array(text.utf8))
    return try store.adopt(staged)
  }

  @Test("a blob that loses its last reference goes, and one that came a moment ago stays until the next time")
  func released() async throws {
    let folder = try TemporaryFolder()
    let store = try StateFolder(folder: folder.file("state"))
    let (old, kept, new) = (try blob(store, "old"), try blob(store, "kept"), try blob(store, "on its way to its record"))
    let patient = BlobCollector(state: store, logger: LogRecorder().logger)
    await patient.collect(keeping: [old, kept])
    await patient.collect(keeping: [kept])
    #expect(store.place(of: old) != nil, "it is younger than ten seconds")
    let quick = BlobCollector(state: store, age: .zero, logger: LogRecorder().logger)
    await quick.collect(keeping: [old, kept])
    await quick.collect(keeping: [kept])
    #expect(store.place(of: old) == nil && store.place(of: kept) != nil)
    #expect(store.place(of: new) != nil, "nothing referred to it yet")
  }

  @Test("what the history releases goes too, unless it is young or kept, and is asked about again only when it is old enough")
  func releasedByHistory() async throws {
    let folder = try TemporaryFolder()
    let state = try StateFolder(folder: folder.file("state"))
    let task = TaskID(unchecked: "digits")
    let (young, old) = (try blob(state, "young"), try blob(state, "old"))
    let aMinuteAgo = timespec(tv_sec: time(nil) - 60, tv_nsec: 0)
    #expect(utimensat(AT_FDCWD, state.place(of: old)?.path ?? "", [aMinuteAgo, aMinuteAgo], 0) == 0)
    try await state.store.commit(StoreTransaction(changes: [.began(task, name: "digits", specification: nil, isOver: false)]))
    for (round, digest) in [young, old].enumerated() {
      let model = ModelCheckpoint(round: round, digest: digest, bytes: 1, metrics: [:], kept: true)
      try await state.store.commit(StoreTransaction(changes: [.published(task, model)]))
    }
    try await state.store.commit(StoreTransaction(changes: [.retained(task, RetainedModels(since: 2, earlier: []), updatesSince: 2)]))
    let collector = BlobCollector(state: state, logger: LogRecorder().logger)
    await collector.collect(keeping: [])
    #expect(state.contains(young) && !state.contains(old))
    #expect(try await state.store.releasedBlobs(after: 0, most: 10).map(\.digest) == [young])
    // A new process finds the blobs that are left.
    await BlobCollector(state: state, age: .zero, logger: LogRecorder().logger).collect(keeping: [])
    #expect(!state.contains(young))
    #expect(try await state.store.releasedBlobs(after: 0, most: 10).isEmpty)
  }

  @Test("a blob that was let go while it was young, and is referred to again, survives the look at everything")
  func referredToAgain() async throws {
    let folder = try TemporaryFolder()
    let store = try StateFolder(folder: folder.file("state"))
    let model = try blob(store, "model")
    let collector = BlobCollector(state: store, logger: LogRecorder().logger)
    await collector.collect(keeping: [model])
    await collector.collect(keeping: [])
    let file = try #require(store.place(of: model)?.path, "it is too young to go")
    let aMinuteAgo = timespec(tv_sec: time(nil) - 60, tv_nsec: 0)
    #expect(utimensat(AT_FDCWD, file, [aMinuteAgo, aMinuteAgo], 0) == 0)
    // Another task has the same model, but no collection has reported that yet.
    await collector.sweep(keeping: [model])
    #expect(store.place(of: model) != nil)
    await collector.collect(keeping: [model])
    await collector.collect(keeping: [])
    #expect(store.place(of: model) == nil)
  }
}
