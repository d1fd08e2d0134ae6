/// The limits of a trainer: the object `limits` of a trainer in agent.json. `nil` means no limit.
///
/// Memory, file size, processor time, open files and processes are resource limits of the kernel, which hold for each process of a trainer
/// by itself. The runner checks the others.
public struct TrainerLimits: Codable, Hashable, Sendable {
  /// Private memory of one process, in MiB. Mapped files and shared libraries do not count.
  public var memoryMiB: Int?
  /// Size of one file, in MiB.
  public var fileMiB: Int?
  /// Total size, in MiB, of the trainer's kept state and of the files in the job folder, without those that it was given.
  public var diskMiB: Int?
  /// Output of a job, in MiB. A trainer that prints more is ended.
  public var outputMiB: Int
  /// Number of processes and threads of the user that the trainer runs as. Not enforced for root.
  public var processes: Int?
  /// Number of open files of one process.
  public var openFiles: Int?
  /// Processor time of one process, in seconds; for a resident trainer, per job.
  public var cpuSeconds: Int?
  /// Scheduling priority, 0 to 19: the higher, the more other programs take precedence.
  public var nice: Int
  /// Free space, in MiB, that must remain on the job folder's file system.
  public var freeMiB: Int

  /// The default of ``nice``.
  public static let defaultNice = 10

  /// Limits, by default those of an empty `limits` object.
  public init(
    memoryMiB: Int? = nil, fileMiB: Int? = nil, diskMiB: Int? = nil, outputMiB: Int = 64, processes: Int? = nil, openFiles: Int? = nil,
    cpuSeconds: Int? = nil, nice: Int = defaultNice, freeMiB: Int = 8
  ) {
    self.memoryMiB = memoryMiB
    self.fileMiB = fileMiB
    self.diskMiB = diskMiB
    self.outputMiB = outputMiB
    self.processes = processes
    self.openFiles = openFiles
    self.cpuSeconds = cpuSeconds
    self.nice = nice
    self.freeMiB = freeMiB
  }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case memoryMiB, fileMiB, diskMiB, outputMiB, processes, openFiles, cpuSeconds, nice, freeMiB

    var range: ClosedRange<Int> {
      switch self {
      case .memoryMiB, .fileMiB, .diskMiB: 1...(1 << 30)
      case .outputMiB: 1...(1 << 20)
      case .processes: 1...1_000_000
      case .openFiles: 16...1_000_000
      case .cpuSeconds: 1...100_000_000
      case .nice: 0...19
      case .freeMiB: 0...(1 << 30)
      }
    }
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    func number(_ key: CodingKeys) throws -> Int? {
      guard let value = try container.decodeIfPresent(Int.self, forKey: key) else { return nil }
      guard key.range.contains(value) else {
        throw DecodingError.dataCorruptedError(
          forKey: key, in: container, debugDescription: "must be between \(key.range.lowerBound) and \(key.range.upperBound)")
      }
      return value
    }
    self.init(
      memoryMiB: try number(.memoryMiB), fileMiB: try number(.fileMiB), diskMiB: try number(.diskMiB),
      outputMiB: try number(.outputMiB) ?? 64, processes: try number(.processes), openFiles: try number(.openFiles),
      cpuSeconds: try number(.cpuSeconds), nice: try number(.nice) ?? Self.defaultNice, freeMiB: try number(.freeMiB) ?? 8)
  }

  /// Reads limits from a configuration that has only numbers: 0 means no limit, except for keys that allow 0 as a value.
  ///
  /// - Parameter number: gives the value of a key, or `fallback`, checked to be 0 or in the range.
  package init(
    nice: Int, freeMiB: Int, reading number: (_ key: String, _ fallback: Int, _ range: ClosedRange<Int>) async throws -> Int
  ) async throws {
    func limit(_ key: CodingKeys) async throws -> Int? {
      let value = try await number(key.rawValue, 0, key.range)
      return value == 0 ? nil : value
    }
    self.init(
      memoryMiB: try await limit(.memoryMiB), fileMiB: try await limit(.fileMiB), diskMiB: try await limit(.diskMiB),
      outputMiB: try await limit(.outputMiB) ?? 64, processes: try await limit(.processes), openFiles: try await limit(.openFiles),
      cpuSeconds: try await limit(.cpuSeconds), nice: try await number(CodingKeys.nice.rawValue, nice, CodingKeys.nice.range),
      freeMiB: try await number(CodingKeys.freeMiB.rawValue, freeMiB, CodingKeys.freeMiB.range))
  }

  /// The keys of the object, for messages about unknown keys.
  package static var keys: [String] { CodingKeys.allCases.map(\.rawValue) }
}
