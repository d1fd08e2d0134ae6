import FoundationEssentials
import Glibc
import Logging
import MusterAggregation
import MusterCoordination
import MusterGround
import MusterParticipation
import MusterSchema
import MusterServer
import MusterShell
import MusterStorage
import MusterTensors

/// A region's long work: makes one contribution of those of its devices.
struct RegionWork: Sendable {
  let state: StateFolder
  let models: CentralBlobs

  @Sendable func attempt(_ item: RegionWorkItem, _ logger: Logger) async throws -> Coordinator.Event {
    .combined(item.key.task, item.key.roundKey, try await combine(item))
  }

  /// Classifies an error. The devices' contributions are abandoned only if trying again cannot help.
  @Sendable func trouble(_ error: any Error) -> Trouble {
    if Trouble.isPassing(error) { return .passing }
    return error is StorageError || error is Problem ? .unclear : .lasting
  }

  private func combine(_ item: RegionWorkItem) async throws -> Combined {
    switch item.key.roundKey.phase {
    case .train: try await aggregate(item)
    case .evaluate: Combined(result: try await summarize(item), refused: [])
    }
  }

  /// Combines updates with the filters and the combiner of the task's strategy. The result has the summed weight and count.
  private func aggregate(_ item: RegionWorkItem) async throws -> Combined {
    let base = try await base(item)
    defer { if item.encoding != .float32 { unlink(base) } }
    let whole = try Strategy(item.strategy)
    guard let strategy = whole.decomposed?.region else { throw RegionError.needsWholeCohort(whole.whyNotDecomposable ?? "") }
    let output = "\(try state.workFolder())/combined-\(item.key.task)-\(item.key.round)"
    var refused: [Waiting] = []
    var counted = item.contributions
    // The header, which is written first, depends on the updates that count. If the filters refuse some, the rest is combined again.
    while true {
      let updates = try counted.map { contribution in
        guard let place = state.place(of: contribution.digest) else { throw RegionError.missing(contribution.path) }
        return StoredUpdate(path: contribution.path.description, file: place.path, range: place.range, weight: contribution.weight)
      }
      let metadata = try metadata(item, counted)
      let result = try await offloadLong { () throws(AggregationError) in
        try MusterAggregation.aggregate(
          base: base, updates: updates, strategy: strategy, output: output, metadata: metadata, durable: false)
      }
      if result.refused.isEmpty { break }
      refused += result.refused.map { Waiting(node: $0.path, reason: $0.reason) }
      let names = Set(result.refused.map(\.path))
      counted.removeAll { names.contains($0.path.description) }
    }
    return Combined(result: try await adopt(output), refused: refused)
  }

  /// The base of the aggregation. Encoded contributions are differences from the decoded model: combined on zeros they give the difference
  /// that the region sends, as exactly as if central had all of them.
  private func base(_ item: RegionWorkItem) async throws -> String {
    let model = try await models.locate(item.base)
    guard item.encoding != .float32 else { return model }
    let zeros = "\(try state.workFolder())/zeros-\(item.key.task)-\(item.key.round)"
    try await offloadLong { () throws(SafetensorsError) in
      let model = try SafetensorsFile(path: model)
      try EncodedFile(model).schema.writeZeros(to: zeros, metadata: model.buffers().metadata)
    }
    return zeros
  }

  private func metadata(_ item: RegionWorkItem, _ counted: [ContributionRecord]) throws -> [String: String] {
    [
      "muster.task": item.key.task.rawValue, "muster.round": "\(item.key.round)", "muster.base": "\(item.base)",
      "muster.content": item.encoding == .float32 ? "parameters" : "delta", "muster.weight": "\(counted.reduce(0) { $0 + $1.weight })",
      "muster.count": "\(counted.count)",
      "muster.metrics": String(decoding: try JSON.encode(Coordinator.weighted(counted) ?? [:]), as: UTF8.self),
    ]
  }

  /// Combines evaluations into one, with the weighted mean of each metric.
  private func summarize(_ item: RegionWorkItem) async throws -> JobResult {
    let evaluation = Evaluation(
      base: item.base, weight: item.contributions.reduce(0) { $0 + $1.weight }, count: item.contributions.count,
      metrics: Coordinator.weighted(item.contributions) ?? [:])
    let body = try JSON.encode(evaluation)
    let state = state
    let digest = try await offload { () throws in
      let staged = try state.stage()
      try body.withUnsafeBytes { try staged.write($0) }
      return try state.adopt(staged)
    }
    return try await result(digest)
  }

  private func adopt(_ file: String) async throws -> JobResult {
    let state = state
    return try await result(try await offloadLong { () throws(StorageError) in try state.adopt(file: file) })
  }

  private func result(_ digest: Digest) async throws -> JobResult {
    guard let path = await state.file(of: digest), let bytes = state.size(of: digest) else {
      throw StorageError.io("a result disappeared from the store")
    }
    return JobResult(file: path, digest: digest, bytes: bytes)
  }
}

/// The reason why a region cannot combine the contributions that it accepted.
enum RegionError: Error, CustomStringConvertible {
  case missing(NodePath)
  case needsWholeCohort(String)

  var description: String {
    switch self {
    case .missing(let path): "the update of \(path) is missing from the region's store"
    case .needsWholeCohort(let why): "regions cannot aggregate for this strategy: \(why)"
    }
  }
}
