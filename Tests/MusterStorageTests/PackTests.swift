import Glibc
import MusterGround
import MusterSchema
import TestSupport
import Testing

@testable import MusterStorage

@Suite struct PackTests {
  @Test("small bodies that come together share few files, are there at once, and after a restart")
  func together() async throws {
    let root = try TemporaryFolder()
    let bodies = (0..<200).map { number in [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 1000 + number * 7) }
    var files = 0
    do {
      let state = try StateFolder(folder: root.path)
      try await addAll(bodies, to: state)
      for body in bodies { #expect(try contents(of: Digest(of: body), in: state) == body) }
      files = Files.names(in: root.file("packs")).count
      #expect(files >= 200 / PackFile.most && files < 200)
      #expect(Files.names(in: root.file("staging")).isEmpty)
    }
    let state = try StateFolder(folder: root.path)
    for body in bodies { #expect(try contents(of: Digest(of: body), in: state) == body) }
    #expect(Files.names(in: root.file("packs")).count == files)
    #expect(state.size(of: Digest(of: bodies[3])) == bodies[3].count)
    #expect(!state.contains(Digest(of: [1])))
  }

  @Test("the same bytes again, from many at once and later, are stored once")
  func twice() async throws {
    let root = try TemporaryFolder()
    let state = try StateFolder(folder: root.path)
    let body = [UInt8](repeating: 7, count: 5000)
    try await addAll(Array(repeating: body, count: 50), to: state)
    try await state.blobs.add(body, digest: Digest(of: body))
    #expect(Files.names(in: root.file("packs")).count == 1)
    #expect(state.sweep(keeping: [], olderThan: .seconds(-1)) == 5000)
    #expect(Files.names(in: root.file("packs")).isEmpty)
  }

  @Test("an empty body and the largest one have a place")
  func bounds() async throws {
    let root = try TemporaryFolder()
    let state = try StateFolder(folder: root.path)
    for body in [[], [UInt8](repeating: 1, count: BlobFolder.smallBytes)] {
      try await state.blobs.add(body, digest: Digest(of: body))
      #expect(try contents(of: Digest(of: body), in: state) == body)
    }
  }

  @Test("a pack goes with the last of its blobs, and a blob that was touched stays")
  func collection() throws {
    let root = try TemporaryFolder()
    let bodies = (0..<10).map { [UInt8](repeating: UInt8($0), count: 100) }
    let digests = bodies.map { Digest(of: $0) }
    try write(bodies, to: root)
    let state = try StateFolder(folder: root.path)
    #expect(state.blobs.discard(Set(digests.dropLast()), olderThan: .seconds(-1)).freed == 900)
    #expect(digests.map(state.contains) == Array(repeating: false, count: 9) + [true])
    #expect(Files.names(in: root.file("packs")) == ["pack"])
    #expect(state.blobs.discard([digests[9]], olderThan: .seconds(60)) == (0, [digests[9]]))
    #expect(state.blobs.discard([digests[9]], olderThan: .seconds(-1)) == (100, []))
    #expect(Files.names(in: root.file("packs")).isEmpty)
  }

  @Test("an old pack is young again once one of its blobs is referred to")
  func refreshed() throws {
    let root = try TemporaryFolder()
    let body = [UInt8](repeating: 3, count: 100)
    try write([body], to: root)
    let old = timespec(tv_sec: time(nil) - 7200, tv_nsec: 0)
    #expect(utimensat(AT_FDCWD, root.file("packs/pack"), [old, old], 0) == 0)
    for _ in 0..<2 {
      // The second time is after a restart, when only the file's own time shows the refresh.
      let state = try StateFolder(folder: root.path)
      #expect(state.refresh(Digest(of: body)))
      #expect(state.sweep(keeping: [], olderThan: .seconds(60)) == 0)
    }
    #expect(try StateFolder(folder: root.path).sweep(keeping: [], olderThan: .seconds(-1)) == 100)
  }

  @Test("a blob of a pack can be had as a file of its own, and a file is not packed again")
  func asFile() async throws {
    let root = try TemporaryFolder()
    let state = try StateFolder(folder: root.path)
    let body = [UInt8](repeating: 9, count: 3000)
    let digest = Digest(of: body)
    try await state.blobs.add(body, digest: digest)
    let path = try #require(await state.file(of: digest))
    #expect(try Digest(ofFile: path) == digest)
    #expect(state.place(of: digest) == BlobPlace(path: path))
    #expect(state.blobs.discard([digest], olderThan: .seconds(-1)) == (6000, []))
    let staged = try state.stage()
    try staged.write(body)
    try state.adopt(staged)
    try await state.blobs.add(body, digest: digest)
    #expect(Files.names(in: root.file("packs")).isEmpty)
  }

  @Test("what somebody removed is missing, and can come again")
  func removed() async throws {
    let root = try TemporaryFolder()
    let state = try StateFolder(folder: root.path)
    let body = [UInt8](repeating: 4, count: 300)
    for _ in 0..<2 {
      try await state.blobs.add(body, digest: Digest(of: body))
      #expect(try contents(of: Digest(of: body), in: state) == body)
      for name in Files.names(in: root.file("packs")) { unlink(root.file("packs/\(name)")) }
      #expect(!state.contains(Digest(of: body)) && !state.refresh(Digest(of: body)))
    }
  }

  @Test("a file that is no pack, or is cut off, is left alone and holds nothing", arguments: [0, 13, 40, 90, 120, 300])
  func damaged(length: Int) throws {
    let root = try TemporaryFolder()
    let body = [UInt8](repeating: 3, count: 200)
    try write([body], to: root)
    #expect(truncate(root.file("packs/pack"), off_t(length)) == 0)
    let state = try StateFolder(folder: root.path)
    #expect(!state.contains(Digest(of: body)))
    #expect(Files.names(in: root.file("packs")) == ["pack"])
  }

  @Test(
    "a header with numbers that no pack has is refused",
    arguments: ["-1", "9223372036854775807", "262145", "x", "", "1 1"])
  func hostileHeader(count: String) throws {
    let root = try TemporaryFolder()
    let text = "muster pack 1\n\(String(repeating: "a", count: 64)) \(count)\n\n" + String(repeating: " ", count: 500)
    let path = try root.write(Array(text.utf8), to: "pack")
    #expect(try PackFile.read(path)?.count == nil)
  }

  private func addAll(_ bodies: [[UInt8]], to state: StateFolder) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for body in bodies { group.addTask { try await state.blobs.add(body, digest: Digest(of: body)) } }
      try await group.waitForAll()
    }
  }

  /// Writes all bodies into one pack, as an earlier process would have left it.
  private func write(_ bodies: [[UInt8]], to root: TemporaryFolder) throws {
    mkdir(root.file("packs"), 0o700)
    let (header, places) = PackFile.layout(bodies.map { (Digest(of: $0), $0.count) })
    var bytes = header
    for (body, place) in zip(bodies, places) {
      bytes += [UInt8](repeating: 0, count: place.lowerBound - bytes.count) + body
    }
    try root.write(bytes, to: "packs/pack")
  }

  private func contents(of digest: Digest, in state: StateFolder) throws -> [UInt8] {
    let place = try #require(state.place(of: digest))
    let descriptor = open(place.path, O_RDONLY | O_CLOEXEC)
    defer { close(descriptor) }
    let range = try #require(place.range)
    var bytes = [UInt8](repeating: 0, count: range.count)
    #expect(pread(descriptor, &bytes, bytes.count, off_t(range.lowerBound)) == bytes.count)
    return bytes
  }
}
