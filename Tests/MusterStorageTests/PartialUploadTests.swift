import FoundationEssentials
import Glibc
import MusterGround
import MusterSchema
import TestSupport
import Testing

@testable import MusterStorage

@Suite struct PartialUploadTests {
  private let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
  private var identity: PartialUploads.Identity {
    .init(name: "digits, round 1, train, north/pi-1", owner: "north/pi-1", digest: Digest(of: bytes), length: bytes.count)
  }

  @Test("A half upload goes on after a restart, and is hashed from its first byte")
  func restart() throws {
    let root = try TemporaryFolder()
    do {
      let store = try StateFolder(folder: root.path)
      let file = try store.partials.begin(identity, expecting: 100_000, maximumBytes: 1 << 20)
      try file.write(Array(bytes[..<100_000]))
      // This is where the process dies, so nothing is released.
    }
    let store = try StateFolder(folder: root.path)
    #expect(store.partials.status(identity.name, identity.digest)?.offset == 100_000)
    #expect(store.partials.status(identity.name, identity.digest)?.identity == identity)
    #expect(store.partials.status(identity.name, Digest(of: [1])) == nil)
    let (_, file) = try store.partials.resume(identity.name, identity.digest, at: 100_000, expecting: 200_000, maximumBytes: 1 << 20)
    let rest = try #require(file)
    try rest.write(Array(bytes[100_000...]))
    #expect(rest.digest == identity.digest)
    let claim = try store.partials.claim(rest, of: identity.name)
    #expect(try store.partials.adopt(claim) == identity.digest)
    store.partials.release(claim)
    #expect(store.size(of: identity.digest) == bytes.count)
    #expect(store.partials.status(identity.name, nil)?.isStored == true)
  }

  @Test("One that was adopted but not accepted is complete after a restart, and gone with its blob")
  func adopted() throws {
    let root = try TemporaryFolder()
    do {
      let store = try StateFolder(folder: root.path)
      let file = try store.partials.begin(identity, expecting: bytes.count, maximumBytes: 1 << 20)
      try file.write(bytes)
      _ = try store.partials.adopt(try store.partials.claim(file, of: identity.name))
      // This is where the process dies, before it releases the claim.
    }
    let store = try StateFolder(folder: root.path)
    let status = store.partials.status(identity.name, identity.digest)
    #expect(status?.isStored == true)
    #expect(status?.offset == bytes.count)
    _ = store.sweep(keeping: [], olderThan: .seconds(-10))
    #expect(store.partials.status(identity.name, identity.digest) == nil)
    #expect(Files.names(in: root.file("uploads")).isEmpty)
  }

  @Test("A second writer cuts off the first, whose bytes count no more")
  func takeOver() throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    let first = try store.partials.begin(identity, expecting: 10, maximumBytes: 1 << 20)
    try first.write(Array(bytes[..<10]))
    let (_, second) = try store.partials.resume(identity.name, identity.digest, at: 10, expecting: 10, maximumBytes: 1 << 20)
    #expect(throws: StorageError.superseded) { () throws in try first.write(Array(bytes[10..<20])) }
    let go = try #require(second)
    try go.write(Array(bytes[10..<30]))
    store.partials.release(first, of: identity.name)
    #expect(store.partials.status(identity.name, identity.digest)?.offset == 30)
  }

  @Test("What was claimed is what becomes the blob, whatever other requests try meanwhile")
  func claims() throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    let file = try store.partials.begin(identity, expecting: bytes.count, maximumBytes: 1 << 20)
    try file.write(bytes)
    let claim = try store.partials.claim(file, of: identity.name)
    // No other request can begin, resume or claim, and nothing more can be written.
    #expect(throws: StorageError.claimed) { try store.partials.begin(identity, expecting: 1, maximumBytes: 1 << 20) }
    #expect(throws: StorageError.claimed) {
      try store.partials.resume(identity.name, identity.digest, at: bytes.count, expecting: 0, maximumBytes: 1 << 20)
    }
    #expect(throws: StorageError.superseded) { try store.partials.claim(file, of: identity.name) }
    #expect(throws: StorageError.superseded) { () throws in try file.write([1]) }
    // A query of the progress gets the true state, and does not end the claim.
    #expect(store.partials.status(identity.name, identity.digest)?.offset == bytes.count)
    #expect(store.partials.status(identity.name, identity.digest)?.isStored == false)
    store.partials.release(file, of: identity.name)
    #expect(try store.partials.adopt(claim) == identity.digest)
    store.partials.release(claim)
    #expect(store.partials.status(identity.name, identity.digest)?.isStored == true)
    #expect(try Digest(ofFile: try #require(store.place(of: identity.digest)?.path)) == identity.digest)
    store.partials.discard(identity.name)
    #expect(Files.names(in: root.file("uploads")).isEmpty)
  }

  @Test("A request whose upload was taken over cannot claim what the other one wrote")
  func claimOfAnother() throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    let first = try store.partials.begin(identity, expecting: bytes.count, maximumBytes: 1 << 20)
    try first.write(bytes)
    let second = try store.partials.begin(identity, expecting: bytes.count, maximumBytes: 1 << 20)
    try second.write(Array(bytes[..<10]))
    #expect(throws: StorageError.superseded) { try store.partials.claim(first, of: identity.name) }
    #expect(store.size(of: identity.digest) == nil)
    try second.write(Array(bytes[10...]))
    let claim = try store.partials.claim(second, of: identity.name)
    #expect(try store.partials.adopt(claim) == identity.digest)
    store.partials.release(claim)
    #expect(try Digest(ofFile: try #require(store.place(of: identity.digest)?.path)) == identity.digest)
  }

  @Test("What was claimed and not adopted can be continued, also after the process died; what was discarded meanwhile goes")
  func unadopted() throws {
    let root = try TemporaryFolder()
    func written(_ store: StateFolder) throws -> UploadClaim {
      let file = try store.partials.begin(identity, expecting: bytes.count, maximumBytes: 1 << 20)
      try file.write(bytes)
      return try store.partials.claim(file, of: identity.name)
    }
    do {
      let store = try StateFolder(folder: root.path)
      store.partials.release(try written(store))
      #expect(store.partials.status(identity.name, identity.digest)?.offset == bytes.count)
      let (_, again) = try store.partials.resume(identity.name, identity.digest, at: bytes.count, expecting: 0, maximumBytes: 1 << 20)
      _ = try store.partials.claim(try #require(again), of: identity.name)
      // This is where the process dies.
    }
    let store = try StateFolder(folder: root.path)
    #expect(store.partials.status(identity.name, identity.digest)?.offset == bytes.count)
    let claim = try written(store)
    store.partials.discard(identity.name, Digest(of: [1]))
    #expect(store.partials.status(identity.name, nil) != nil)
    store.partials.discard(identity.name)
    #expect(store.partials.status(identity.name, nil) == nil)
    store.partials.release(claim)
    #expect(Files.names(in: root.file("uploads")).isEmpty)
    #expect(store.partials.totals.count == 0)
  }

  @Test("Numbers near the end of what fits one are bounds like others")
  func numbers() throws {
    let root = try TemporaryFolder()
    let store = try StateFolder(folder: root.path)
    let unknown = PartialUploads.Identity(name: "a", owner: "a", digest: Digest(of: [1]), length: nil)
    let file = try store.partials.begin(unknown, expecting: .max, maximumBytes: 1000)
    try file.write([1, 2, 3])
    store.partials.release(file, of: "a")
    let (status, again) = try store.partials.resume("a", unknown.digest, at: 3, expecting: .max, maximumBytes: 1000)
    #expect(status?.offset == 3)
    #expect(again != nil)
    #expect(try store.partials.resume("a", unknown.digest, at: .max, expecting: .max, maximumBytes: 1000).file == nil)
  }

  @Test("Garbage and strangers in the folder are removed, links are not followed")
  func garbage() throws {
    let root = try TemporaryFolder()
    do { _ = try StateFolder(folder: root.path) }
    let secret = try root.write("secret", to: "secret-file")
    let id = Digest(of: identity.name.utf8).hexadecimal
    try root.write("{}", to: "uploads/x.json")
    try root.write("half", to: "uploads/\(id).part")
    try root.write(#"{"version":9}"#, to: "uploads/\(id).json")
    symlink(secret, root.file("uploads/link.part"))
    let store = try StateFolder(folder: root.path)
    #expect(Files.names(in: root.file("uploads")).isEmpty)
    symlink(secret, root.file("uploads/\(id).part"))
    #expect(throws: StorageError.self) { try store.partials.begin(identity, expecting: 1, maximumBytes: 10) }
    #expect(try String(contentsOfFile: secret, encoding: .utf8) == "secret")
  }

  @Test("Half uploads go when nobody continued them for too long, and stay below their bounds")
  func bounds() throws {
    let root = try TemporaryFolder()
    let limits = PartialUploadLimits(count: 3, perOwner: 2, bytes: 1000, ageSeconds: 100, graceSeconds: 0)
    let log = LogRecorder()
    let store = try StateFolder(folder: root.path, partials: limits, logger: log.logger)
    func begin(_ name: String, _ owner: String, _ length: Int = 100) throws {
      let identity = PartialUploads.Identity(name: name, owner: owner, digest: Digest(of: [1]), length: length)
      let file = try store.partials.begin(identity, expecting: 10, maximumBytes: 1 << 20)
      try file.write([UInt8](repeating: 1, count: 10))
      store.partials.release(file, of: name)
    }
    for name in ["a", "b", "c"] { try begin(name, "one") }
    #expect(store.partials.totals.count == 2)
    for name in ["d", "e", "f"] { try begin(name, name) }
    #expect(store.partials.totals.count == 3)
    // The limit that caused the removals is logged once.
    #expect(log.lines(with: "to make room").count == 1)
    #expect(log.lines(with: "limit=data.limits.partialUploadsPerNode").count == 1)
    try begin("g", "g", 900)
    #expect(store.partials.totals.bytes <= 1000)
    #expect(throws: StorageError.tooLarge(maximumBytes: 1000)) { try begin("h", "h", 1001) }
    // Uploads that requests in progress hold may not be removed.
    let held = try ["x", "y", "z"].map { name in
      let identity = PartialUploads.Identity(name: name, owner: name, digest: Digest(of: [1]), length: 10)
      return try store.partials.begin(identity, expecting: 10, maximumBytes: 10)
    }
    #expect(throws: StorageError.crowded("there are already 3 unfinished uploads")) { try begin("i", "i") }
    for (file, name) in zip(held, ["x", "y", "z"]) { store.partials.release(file, of: name) }
    // Give the files the times of a process that ended long ago.
    for name in Files.names(in: root.file("uploads")) {
      var times = [timespec(tv_sec: 1, tv_nsec: 0), timespec(tv_sec: 1, tv_nsec: 0)]
      utimensat(AT_FDCWD, root.file("uploads/\(name)"), &times, 0)
    }
    let later = try PartialUploads(folder: root.path, blobs: store.blobs, limits: limits)
    #expect(later.totals.count == 0)
    #expect(Files.names(in: root.file("uploads")).isEmpty)
  }
}
