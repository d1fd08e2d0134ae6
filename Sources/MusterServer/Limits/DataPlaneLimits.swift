package import MusterStorage

/// What a data listener takes at most. Everything beyond is refused with a status that says so, and a log line now and then.
///
/// `docs/operations.md` lists the keys.
package struct DataPlaneLimits: Hashable, Sendable {
  /// Connections at a time; further ones wait in the kernel's queue, which is bounded too.
  package var connections: Int
  /// Uploads under way at a time; further ones are answered with 429.
  package var uploads: Int
  /// Bytes that these have announced together; beyond: 429.
  package var uploadBytes: Int
  /// Requests of one client address, over a burst of two seconds: 429. 0: any.
  package var requestsPerSecond: Int
  /// Bytes of a request's head: beyond it 431.
  package var headerBytes: Int
  /// From connecting to a whole head: then the connection ends.
  package var headSeconds: Int
  /// Without a byte of a body: 408. Twice as long for a client that does not read its answer.
  package var stallSeconds: Int
  /// A body that comes slower, after the first ``stallSeconds``: 408. 0: any.
  package var bytesPerSecond: Int
  package var partials: PartialUploadLimits

  package init(
    connections: Int = 4096, uploads: Int = 256, uploadBytes: Int = 8 << 30, requestsPerSecond: Int = 2000, headerBytes: Int = 16 << 10,
    headSeconds: Int = 20, stallSeconds: Int = 30, bytesPerSecond: Int = 128, partials: PartialUploadLimits = PartialUploadLimits()
  ) {
    self.connections = connections
    self.uploads = uploads
    self.uploadBytes = uploadBytes
    self.requestsPerSecond = requestsPerSecond
    self.headerBytes = headerBytes
    self.headSeconds = headSeconds
    self.stallSeconds = stallSeconds
    self.bytesPerSecond = bytesPerSecond
    self.partials = partials
  }

  /// Reads the keys `data.limits.*` of a program's configuration.
  ///
  /// - Parameter number: reads one key, with its default and its range.
  package init(reading number: (_ key: String, _ fallback: Int, _ range: ClosedRange<Int>) async throws -> Int) async throws {
    func limit(_ name: String, _ fallback: Int, _ range: ClosedRange<Int>) async throws -> Int {
      try await number("data.limits.\(name)", fallback, range)
    }
    self.init()
    connections = try await limit("connections", connections, 1...1_000_000)
    uploads = try await limit("uploads", uploads, 1...100_000)
    uploadBytes = try await limit("uploadMiB", uploadBytes >> 20, 1...(1 << 30)) << 20
    requestsPerSecond = try await limit("requestsPerSecond", requestsPerSecond, 0...1_000_000)
    headerBytes = try await limit("headerKiB", headerBytes >> 10, 1...1024) << 10
    headSeconds = try await limit("headSeconds", headSeconds, 1...3600)
    stallSeconds = try await limit("stallSeconds", stallSeconds, 1...3600)
    bytesPerSecond = try await limit("bytesPerSecond", bytesPerSecond, 0...(1 << 30))
    partials.count = try await limit("partialUploads", partials.count, 1...1_000_000)
    partials.perOwner = try await limit("partialUploadsPerNode", partials.perOwner, 1...1000)
    partials.bytes = try await limit("partialMiB", partials.bytes >> 20, 1...(1 << 30)) << 20
    partials.ageSeconds = try await limit("partialHours", partials.ageSeconds / 3600, 1...8760) * 3600
  }

  /// The keys, for `--help`.
  package static let help = """
    data.limits.connections           at a time (default 4096)
    data.limits.uploads, .uploadMiB   uploads under way at a time (256), and the bytes they announce (8192 MiB)
    data.limits.requestsPerSecond     of one client address (default 2000; 0: any)
    data.limits.headerKiB             of one request's head (default 16)
    data.limits.headSeconds, .stallSeconds, .bytesPerSecond      how slow a client may be (20, 30, 128)
    data.limits.partialUploads, .partialUploadsPerNode, .partialMiB, .partialHours    half uploads that are kept (1024, 4, 16384, 24)
    """
}
