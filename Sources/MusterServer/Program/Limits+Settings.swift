import MusterStorage

extension ListenerLimits {
  /// Reads the keys `NAME.limits.connections`, `.requestsPerSecond`, `.headerKiB`, `.headSeconds`, `.stallSeconds`, `.bytesPerSecond`.
  init(_ settings: ServerSettings, _ listener: String, defaults: ListenerLimits) async throws {
    func limit(_ name: String, _ fallback: Int, _ range: ClosedRange<Int>) async throws -> Int {
      try await settings.number("\(listener).limits.\(name)", default: fallback, in: range)
    }
    self = defaults
    connections = try await limit("connections", connections, 1...1_000_000)
    requestsPerSecond = try await limit("requestsPerSecond", requestsPerSecond, 0...1_000_000)
    headerBytes = try await limit("headerKiB", headerBytes >> 10, 1...1024) << 10
    headSeconds = try await limit("headSeconds", headSeconds, 1...3600)
    stallSeconds = try await limit("stallSeconds", stallSeconds, 1...3600)
    bytesPerSecond = try await limit("bytesPerSecond", bytesPerSecond, 0...(1 << 30))
  }
}

extension UploadLimits {
  /// Reads the keys `maximumMiB` (of one contribution), `data.limits.uploads`, `.uploadMiB`, `.partialUploads`, `.partialUploadsPerNode`,
  /// `.partialMiB`, `.partialHours`.
  init(_ settings: ServerSettings) async throws {
    func limit(_ name: String, _ fallback: Int, _ range: ClosedRange<Int>) async throws -> Int {
      try await settings.number("data.limits.\(name)", default: fallback, in: range)
    }
    self.init()
    contributionBytes = try await settings.number("maximumMiB", default: contributionBytes >> 20, in: 1...65536) << 20
    count = try await limit("uploads", count, 1...100_000)
    bytes = try await limit("uploadMiB", bytes >> 20, 1...(1 << 30)) << 20
    partials.count = try await limit("partialUploads", partials.count, 1...1_000_000)
    partials.perOwner = try await limit("partialUploadsPerNode", partials.perOwner, 1...1000)
    partials.bytes = try await limit("partialMiB", partials.bytes >> 20, 1...(1 << 30)) << 20
    partials.ageSeconds = try await limit("partialHours", partials.ageSeconds / 3600, 1...8760) * 3600
  }
}
