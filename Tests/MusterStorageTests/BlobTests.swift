import FoundationEssentials
import Glibc
import MusterGround
import MusterSchema
import TestSupport
import Testing

@testable import MusterStorage

@Suite struct BlobTests {
  @Test("a staged body becomes a blob under its digest")
  func adoption() throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    let bytes = Array("hello, blob".utf8)
    let staged = try store.stage()
    try staged.write(Array(bytes[..<5]))
    try staged.write(Array(bytes[5...]))
    let digest = try store.adopt(staged)
    #expect(digest == Digest(of: bytes))
    #expect(store.size(of: digest) == bytes.count)
    let path = try #require(store.place(of: digest)?.path)
    #expect(path == "\(root.path)/blobs/\(digest.hexadecimal.prefix(2))/\(digest.hexadecimal)")
    #expect(try Array(Data(contentsOf: URL(filePath: path))) == bytes)
    #expect(Files.names(in: root.file("staging")).isEmpty)
    #expect(store.place(of: Digest(of: [1])) == nil)
    #expect(store.size(of: Digest(of: [1])) == nil)
  }

  @Test("the same bytes again are fine")
  func twice() throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    let digests = try (0..<2).map { _ in
      let staged = try store.stage()
      try staged.write(Array("same".utf8))
      return try store.adopt(staged)
    }
    #expect(digests[0] == digests[1])
    #expect(Files.names(in: root.file("staging")).isEmpty)
  }

  @Test("a staged file that is dropped leaves nothing")
  func dropped() throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    do {
      let staged = try store.stage()
      try staged.write([1, 2, 3])
      #expect(Files.names(in: root.file("staging")).count == 1)
    }
    #expect(Files.names(in: root.file("staging")).isEmpty)
  }

  @Test("a body over its bound is refused at the first byte too many")
  func bound() throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    let staged = try store.stage(maximumBytes: 4)
    try staged.write([1, 2, 3, 4])
    #expect(throws: StorageError.tooLarge(maximumBytes: 4)) { try staged.write([5]) }
    #expect(staged.count == 4)
  }

  @Test("a file of another folder is moved in, with or without a known digest")
  func adoptFile() throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.file("state"))
    let first = try root.write(Array("first".utf8), to: "first")
    #expect(try store.adopt(file: first) == Digest(of: Array("first".utf8)))
    let second = try root.write(Array("second".utf8), to: "second")
    let digest = Digest(of: Array("second".utf8))
    #expect(try store.adopt(file: second, digest: digest) == digest)
    #expect(store.size(of: digest) == 6)
    #expect(Files.names(in: root.path) == ["state"])
    #expect(throws: StorageError.self) { try store.adopt(file: root.file("none")) }
  }

  @Test("a file of another file system is copied in")
  func adoptForeignFile() throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    let path = "/dev/shm/muster-test-\(UInt64.random(in: 0...UInt64.max))"
    var (here, there) = (stat(), stat())
    guard stat("/dev/shm", &there) == 0, stat(root.path, &here) == 0, here.st_dev != there.st_dev, access("/dev/shm", W_OK) == 0 else {
      return
    }
    let bytes = (0..<600_000).map { UInt8(truncatingIfNeeded: $0 * 7) }
    try Data(bytes).write(to: URL(filePath: path))
    let digest = try store.adopt(file: path)
    #expect(digest == Digest(of: bytes))
    #expect(store.size(of: digest) == bytes.count)
    #expect(access(path, F_OK) != 0)
  }

  @Test("collection removes old blobs that nobody keeps, and says how much that frees")
  func collection() throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    let digests = try ["keep", "remove me", "young"].map { text in
      let staged = try store.stage()
      try staged.write(Array(text.utf8))
      return try store.adopt(staged)
    }
    try age(try #require(store.place(of: digests[0])?.path))
    try age(try #require(store.place(of: digests[1])?.path))
    try root.write("left behind", to: "staging/old")
    try age(root.file("staging/old"))
    #expect(store.sweep(keeping: [digests[0]], olderThan: .seconds(60)) == 9 + 11)
    #expect(digests.map { store.size(of: $0) } == [4, nil, 5])
    #expect(Files.names(in: root.file("staging")).isEmpty)
  }

  @Test("a blob that is adopted again counts as young")
  func adoptedAgain() throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    let digest = try stageAndAdopt(store)
    try age(try #require(store.place(of: digest)?.path))
    #expect(try stageAndAdopt(store) == digest)
    #expect(store.sweep(keeping: [], olderThan: .seconds(60)) == 0)
    #expect(store.place(of: digest) != nil)
  }

  private func stageAndAdopt(_ store: StateFolder) throws -> Digest {
    let staged = try store.stage()
    try staged.write([1, 2, 3])
    return try store.adopt(staged)
  }

  private func age(_ path: String) throws {
    let old = timespec(tv_sec: time(nil) - 7200, tv_nsec: 0)
    guard utimensat(AT_FDCWD, path, [old, old], 0) == 0 else { throw TestSupportError("\(path) does not age") }
  }
}
