import Glibc
import TestSupport
import Testing

@testable import MusterGround

@Suite("Files of the ground floor")
struct FilesTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func code<T>(_ body: () throws(FileError) -> T) -> Int32? {
    do throws(FileError) {
      _ = try body()
      return nil
    } catch {
      return error.code
    }
  }

  @Test("a file is replaced as a whole, with its mode, and nothing is left beside it", arguments: [false, true])
  func replaced(durable: Bool) throws {
    let path = folder.file("file")
    for bytes in [[UInt8](repeating: 1, count: 300_000), [], [7]] {
      try Files.replace(path, with: bytes, mode: 0o640, durable: durable)
      #expect(try Files.read(path, atMost: 1 << 20) == bytes)
    }
    #expect(Files.mode(path) == 0o640 && Files.size(path) == 1)
    #expect(Files.names(in: folder.path) == ["file"])
  }

  @Test("a leftover, or somebody's link, is not written through")
  func leftover() throws {
    let (path, other) = (folder.file("file"), try folder.write("precious", to: "other"))
    #expect(symlink(other, "\(path).new") == 0)
    try Files.replace(path, with: [1], durable: false)
    #expect(try Files.read(other, atMost: 100) == Array("precious".utf8) && Files.ownSize(path) == 1)
  }

  @Test("what fails leaves the old file and says what happened")
  func failures() throws {
    let nowhere = folder.file("none/file")
    #expect(code { () throws(FileError) in try Files.replace(nowhere, with: [1], durable: true) } == ENOENT)
    let file = try folder.write("x", to: "file")
    let below = #expect(throws: FileError.self) { try Files.makeFolder("\(file)/below/further") }
    #expect(below == FileError(.opened, file, ENOTDIR))
    #expect(code { () throws(FileError) in try Files.makeFolder(file) } == ENOTDIR)
    #expect(code { () throws(FileError) in try Files.read(file, atMost: 0) } == EFBIG)
    let error = #expect(throws: FileError.self) { try Files.read(nowhere, atMost: 1) }
    #expect(error?.isMissing == true && error?.isPassing == false)
    #expect(error?.description == "\(nowhere) cannot be read: No such file or directory")
    #expect(FileError(.written, "x", ENOSPC).isDiskFull && FileError(.written, "x", ENOSPC).isPassing)
  }

  @Test("in a stranger's folder neither a link nor a pipe is read")
  func untrusted() throws {
    let file = try folder.write("text", to: "file")
    let (link, pipe) = (folder.file("link"), folder.file("pipe"))
    #expect(symlink(file, link) == 0 && mkfifo(pipe, 0o600) == 0)
    #expect(try Files.readUntrusted(file, atMost: 4) == Array("text".utf8))
    #expect(try Files.readUntrusted(link, atMost: 4, followingLinks: true) == Array("text".utf8))
    #expect(code { () throws(FileError) in try Files.readUntrusted(link, atMost: 4) } == ELOOP)
    #expect(code { () throws(FileError) in try Files.readUntrusted(pipe, atMost: 4) } == EINVAL)
    #expect(code { () throws(FileError) in try Files.readUntrusted(folder.path, atMost: 4) } == EINVAL)
  }

  @Test("folders are made with those above them, removed with all in them, and links are not followed")
  func folders() throws {
    try Files.makeFolder(folder.file("a/b/c"))
    try Files.makeFolder(folder.file("a/b/c"))
    #expect(Files.mode(folder.file("a/b")) == 0o700)
    let outside = try folder.write("precious", to: "outside")
    #expect(symlink(outside, folder.file("a/link")) == 0)
    #expect(Files.isThere(folder.file("a/link")) && Files.remove(folder.file("a")) == nil)
    #expect(Files.remove(folder.file("a")) == nil, "what is not there is fine")
    #expect(Files.names(in: folder.path) == ["outside"] && Files.size(outside) == 8)
    #expect(Files.names(in: folder.file("none")).isEmpty)
  }

  @Test("a file that is discarded leaves its name free at once, a large one is gone soon", arguments: [100, Files.largeBytes + 1])
  func discarded(bytes: Int) async throws {
    let path = try folder.write("x", to: "file")
    #expect(truncate(path, off_t(bytes)) == 0)
    Files.discard(path, bytes: bytes)
    #expect(!Files.isThere(path))
    let isGone = try await eventually { Files.names(in: folder.path).isEmpty }
    #expect(isGone)
    Files.discard(path, bytes: bytes)
  }

  @Test("several places of a file are written at once")
  func places() throws {
    let path = try folder.write("", to: "file")
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    defer { close(descriptor) }
    for index in [2, 0, 1] {
      try [UInt8](repeating: UInt8(index), count: 1000).withUnsafeBytes { try Files.write($0, to: descriptor, at: index * 1000, path) }
    }
    #expect(try Files.read(path, atMost: 4000) == (0..<3).flatMap { [UInt8](repeating: UInt8($0), count: 1000) })
  }

  @Test("a stamp changes with the file")
  func stamp() throws {
    let path = try folder.write("one", to: "file")
    let before = Files.stamp(path)
    #expect(before != nil && before == Files.stamp(path) && Files.stamp(folder.file("none")) == nil)
    try Files.replace(path, with: Array("two".utf8), durable: false)
    #expect(Files.stamp(path) != before)
  }

  @Test("the folder of a path", arguments: [("/a/b", "/a"), ("/a", "/"), ("a", "."), ("a/b/", "a/b")])
  func folderOf(path: String, folder: String) { #expect(Files.folder(of: path) == folder) }

  @Test("a lock keeps others out, says who has it, and goes with its holder")
  func lock() async throws {
    let path = folder.file("lock")
    var lock = try FileLock.take(path, notingProcess: true)
    #expect(lock != nil)
    #expect(try FileLock.take(path) == nil)
    #expect(FileLock.holder(path) == getpid())
    lock = nil
    // A process that another test starts has the descriptor, too, until it becomes its program.
    let isFree = try await eventually { try FileLock.take(path) != nil }
    #expect(isFree)
    #expect(FileLock.holder(folder.file("none")) == nil)
  }
}
