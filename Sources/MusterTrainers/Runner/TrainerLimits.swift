/// What a trainer may use: the object `limits` of a trainer in agent.json. nil: no limit.
///
/// Memory, file size, processor time, open files and processes are resource limits of the kernel: each process of a trainer has them for
/// itself. The others are looked after by the agent.
public struct TrainerLimits: Codable, Hashable, Sendable {
  /// Private memory of one process, MiB. Mapped files and shared libraries do not count.
  public var memoryMiB: Int?
  /// Size of one file, MiB.
  public var fileMiB: Int?
  /// Everything in the job folder and in what the trainer keeps between rounds, MiB.
  public var diskMiB: Int?
  /// What a job may print, MiB. More is no log.
  public var outputMiB: Int
  /// Processes and threads of the user that it runs as. Does not bind root.
  public var processes: Int?
  /// Open files of one process.
  public var openFiles: Int?
  /// Processor time of one process, seconds; of a resident one for each job.
  public var cpuSeconds: Int?
  /// 0 to 19: how much it steps back behind other programs.
  public var nice: Int
  /// Free space that must stay on the job folder's file system, MiB.
  public var freeMiB: Int

  /// The default of ``nice``.
  public static let defaultNice = 10

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
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    func number(_ key: CodingKeys, _ range: ClosedRange<Int>) throws -> Int? {
      guard let value = try container.decodeIfPresent(Int.self, forKey: key) else { return nil }
      guard range.contains(value) else {
        throw DecodingError.dataCorruptedError(
          forKey: key, in: container, debugDescription: "must be between \(range.lowerBound) and \(range.upperBound)")
      }
      return value
    }
    self.init(
      memoryMiB: try number(.memoryMiB, 1...(1 << 30)), fileMiB: try number(.fileMiB, 1...(1 << 30)),
      diskMiB: try number(.diskMiB, 1...(1 << 30)), outputMiB: try number(.outputMiB, 1...(1 << 20)) ?? 64,
      processes: try number(.processes, 1...1_000_000), openFiles: try number(.openFiles, 16...1_000_000),
      cpuSeconds: try number(.cpuSeconds, 1...100_000_000), nice: try number(.nice, 0...19) ?? Self.defaultNice,
      freeMiB: try number(.freeMiB, 0...(1 << 30)) ?? 8)
  }

  /// The keys of the object, for messages about one that does not exist.
  package static var keys: [String] { CodingKeys.allCases.map(\.rawValue) }
}
