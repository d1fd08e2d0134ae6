import FoundationEssentials
import MusterSchema
import MusterStorage
import TestSupport
import Testing

/// The requirements on every engine for blobs. A new engine is added to ``Engine``.
@Suite("Blobs, whatever their engine")
struct BlobsConformance {
  enum Engine: String, CaseIterable {
    case folder

    func open(_ folder: TemporaryFolder) throws -> Opened {
      switch self {
      case .folder:
        let state = try StateFolder(folder: folder.file("state"))
        return Opened(blobs: state.blobs, owner: state)
      }
    }
  }

  /// The blobs, and the object that keeps them open.
  struct Opened {
    let blobs: any Blobs
    let owner: StateFolder

    /// The ways in which a body becomes a blob.
    func put(_ body: [UInt8], _ way: Way, _ folder: TemporaryFolder) async throws -> Digest {
      let digest = Digest(of: body)
      switch way {
      case .staged:
        let staged = try blobs.stage()
        try staged.write(body)
        return try blobs.adopt(staged, at: nil)
      case .file: return try blobs.adopt(file: try folder.write(body, to: "file-\(digest.hexadecimal)"), digest: nil)
      case .known: return try blobs.adopt(file: try folder.write(body, to: "file-\(digest.hexadecimal)"), digest: digest)
      case .small:
        try await blobs.add(body, digest: digest)
        return digest
      }
    }

    /// The bytes of a blob, read at its place.
    func bytes(_ digest: Digest) throws -> [UInt8]? {
      guard let place = blobs.place(of: digest) else { return nil }
      let bytes = Array(try Data(contentsOf: URL(filePath: place.path)))
      return place.range.map { Array(bytes[$0]) } ?? bytes
    }
  }

  enum Way: String, CaseIterable { case staged, file, known, small }

  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func body(_ number: Int) -> [UInt8] { Array("the body \(number)".utf8) + [UInt8](repeating: UInt8(number % 256), count: number) }

  @Test("a body is found under its digest, whole, in whatever way it came", arguments: Engine.allCases, Way.allCases)
  func found(engine: Engine, way: Way) async throws {
    let opened = try engine.open(folder)
    let digest = try await opened.put(body(7), way, folder)
    #expect(digest == Digest(of: body(7)))
    #expect(try opened.bytes(digest) == body(7) && opened.blobs.size(of: digest) == body(7).count)
    let file = try #require(await opened.blobs.file(of: digest))
    #expect(Array(try Data(contentsOf: URL(filePath: file))) == body(7))
    #expect(try opened.bytes(digest) == body(7), "also after it was copied to a file of its own")
  }

  @Test("a body that comes again is the same blob", arguments: Engine.allCases, Way.allCases)
  func again(engine: Engine, way: Way) async throws {
    let opened = try engine.open(folder)
    for first in Way.allCases {
      let number = Way.allCases.firstIndex(of: first) ?? 0
      let digests = [try await opened.put(body(number), first, folder), try await opened.put(body(number), way, folder)]
      #expect(Set(digests).count == 1)
      #expect(try opened.bytes(digests[0]) == body(number))
    }
  }

  @Test("a blob that is not here has no place, no file and no size, and cannot be refreshed", arguments: Engine.allCases)
  func missing(engine: Engine) async throws {
    let opened = try engine.open(folder)
    let digest = Digest(of: [1])
    #expect(opened.blobs.place(of: digest) == nil && opened.blobs.size(of: digest) == nil && !opened.blobs.refresh(digest))
    #expect(await opened.blobs.file(of: digest) == nil)
    #expect(opened.blobs.discard([digest], olderThan: .zero) == (0, []))
  }

  @Test("blobs survive a restart", arguments: Engine.allCases)
  func restart(engine: Engine) async throws {
    var digests: [Digest] = []
    do {
      let opened = try engine.open(folder)
      for (number, way) in Way.allCases.enumerated() { digests.append(try await opened.put(body(number), way, folder)) }
    }
    let opened = try engine.open(folder)
    for (number, digest) in digests.enumerated() { #expect(try opened.bytes(digest) == body(number)) }
  }

  @Test("small bodies that come at once are all there, also the same one twice", arguments: Engine.allCases)
  func together(engine: Engine) async throws {
    let opened = try engine.open(folder)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<200 {
        group.addTask { try await opened.blobs.add(body(number / 2), digest: Digest(of: body(number / 2))) }
      }
      try await group.waitForAll()
    }
    for number in 0..<100 { #expect(try opened.bytes(Digest(of: body(number))) == body(number)) }
  }

  @Test("a young blob is not removed, an old one is, and its bytes are counted", arguments: Engine.allCases, Way.allCases)
  func ages(engine: Engine, way: Way) async throws {
    let opened = try engine.open(folder)
    let digest = try await opened.put(body(9), way, folder)
    let young = opened.blobs.discard([digest], olderThan: .seconds(60))
    #expect(young.freed == 0 && young.left == [digest])
    #expect(try opened.bytes(digest) == body(9) && opened.blobs.refresh(digest))
    let prefix = try #require(Int(digest.hexadecimal.prefix(2), radix: 16))
    #expect(opened.blobs.old(prefix: prefix, olderThan: .seconds(60)).isEmpty)
    #expect(opened.blobs.old(prefix: prefix, olderThan: .zero) == [digest])
    let old = opened.blobs.discard([digest], olderThan: .zero)
    #expect(old.freed == body(9).count && old.left.isEmpty)
    #expect(opened.blobs.place(of: digest) == nil)
  }

  @Test("a staged file that was left behind is removed when it is old", arguments: Engine.allCases)
  func staging(engine: Engine) async throws {
    let opened = try engine.open(folder)
    let staged = try opened.blobs.stage()
    try staged.write(body(100))
    #expect(opened.blobs.clearStaging(olderThan: .seconds(60)) == 0)
    #expect(opened.blobs.clearStaging(olderThan: .zero) == body(100).count)
  }
}
