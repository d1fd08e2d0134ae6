import Glibc
import MusterGround
import MusterSchema
import TestSupport
import Testing

@testable import MusterStorage

/// Uses a file size limit in place of a full disk, because it needs no privileges and only affects the test's child process.
@Suite struct FullDiskTests {
  @Test("a body that does not fit is refused as a full disk, and leaves nothing")
  func blob() async {
    await #expect(processExitsWith: .success) {
      let root = try TemporaryFolder()
      let store = try StateFolder(folder: root.path)
      try limitFiles(to: 1 << 20)
      let staged = try store.stage()
      try staged.write([UInt8](repeating: 1, count: 1 << 20))
      #expect { try staged.write([1]) } throws: { isFull($0) }
      let small = try store.stage()
      try small.write([1, 2, 3])
      try store.adopt(small)
    }
  }

  @Test("a small body that does not fit is refused as a full disk and leaves nothing; those that waited with it are taken")
  func pack() async {
    await #expect(processExitsWith: .success) {
      let root = try TemporaryFolder()
      let store = try StateFolder(folder: root.path)
      try limitFiles(to: 100 << 10)
      let large = [UInt8](repeating: 1, count: 200 << 10)
      let small = (0..<40).map { [UInt8](repeating: $0, count: 30 << 10) }
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          await #expect { try await store.blobs.add(large, digest: Digest(of: large)) } throws: { isFull($0) }
        }
        for body in small {
          group.addTask { await #expect(throws: Never.self) { try await store.blobs.add(body, digest: Digest(of: body)) } }
        }
      }
      #expect(small.allSatisfy { store.contains(Digest(of: $0)) } && !store.contains(Digest(of: large)))
      #expect(Files.names(in: root.file("staging")).isEmpty)
    }
  }

  @Test("a journal that cannot grow is a full disk, keeps what it had, and goes on when there is room")
  func journal() async {
    await #expect(processExitsWith: .success) {
      let root = try TemporaryFolder()
      let store = try StateFolder(folder: root.path)
      try await store.append([entry("before")])
      try limitFiles(to: 256 << 10)
      let large = entry("large", body: String(repeating: "x", count: 400 << 10))
      await #expect { try await store.append([large]) } throws: { isFull($0) }
      #expect(try await store.entries(machine: "coordinator").map(\.kind) == ["before"])
      try await store.append([entry("after")])
      #expect(try await store.entries(machine: "coordinator").map(\.kind) == ["before", "after"])
    }
  }

  @Test("a full file system is told from other errors", .enabled(if: canMount))
  func fileSystem() async throws {
    let root = try TemporaryFolder()
    mkdir(root.file("disk"), 0o700)
    try #require(mount("tmpfs", root.file("disk"), "tmpfs", 0, "size=1m") == 0)
    defer { umount2(root.file("disk"), Int32(MNT_DETACH)) }
    let store = try StateFolder(folder: root.file("disk/state"))
    try await store.append([entry("before")])
    let staged = try store.stage()
    #expect { try staged.write([UInt8](repeating: 1, count: 2 << 20)) } throws: { isFull($0) }
    await #expect { try await store.append([entry("x", body: String(repeating: "x", count: 400 << 10))]) } throws: { isFull($0) }
    #expect(try await store.entries(machine: "coordinator").map(\.kind) == ["before"])
  }
}

private let canMount: Bool = {
  guard geteuid() == 0, let folder = try? TemporaryFolder() else { return false }
  guard mount("tmpfs", folder.path, "tmpfs", 0, "size=1m") == 0 else { return false }
  return umount2(folder.path, Int32(MNT_DETACH)) == 0
}()

private func limitFiles(to bytes: UInt) throws {
  var limit = rlimit(rlim_cur: bytes, rlim_max: bytes)
  guard setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else { throw TestSupportError("no file size limit") }
}

private func isFull(_ error: any Error) -> Bool {
  guard case StorageError.diskFull = error else { return false }
  return "\(error)".contains("free some space")
}
