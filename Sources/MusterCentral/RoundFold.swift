import MusterAggregation
import MusterGround
import MusterSchema
import MusterShell
import MusterStorage

/// Makes a round's model from the stored inputs, both at the round's end and in a replay.
struct RoundFold: Sendable {
  struct Output: Sendable {
    /// The model's file.
    var model: String
    /// The file of the server optimizer's state; `nil` if it has none.
    var state: String?
    var refused: [Waiting]
  }

  private let item: CentralWorkItem
  private let strategy: Strategy
  private let base: String
  private let state: String?
  private let updates: [StoredUpdate]

  /// - Throws: ``WorkError`` if an input is missing from the store.
  init(_ item: CentralWorkItem, _ folder: StateFolder, rules: Rules) async throws {
    self.item = item
    guard let base = item.base, let path = await folder.file(of: base) else {
      throw WorkError("the base model of round \(item.key.round) is missing from the store")
    }
    self.base = path
    let whole = try Strategy(item.specification.strategy, rules: rules, localRate: item.specification.local.rate)
    strategy = try item.isRegional ? Self.above(regions: whole) : whole
    updates = try item.contributions.map { contribution in
      guard let place = folder.place(of: contribution.digest) else {
        throw WorkError("the update of \(contribution.path) is missing from the store")
      }
      let countsDevices = item.isRegional && whole.combiner.composition == .count
      let weight = countsDevices ? Double(contribution.devices) : contribution.weight
      return StoredUpdate(path: contribution.path.description, file: place.path, range: place.range, weight: weight)
    }
    guard let state = item.state else {
      self.state = nil
      return
    }
    guard let file = await folder.file(of: state) else {
      throw WorkError("the server optimizer's state \(state) is missing from the store")
    }
    self.state = file
  }

  /// The steps that remain at central if regions have aggregated.
  private static func above(regions strategy: Strategy) throws -> Strategy {
    guard let parts = strategy.decomposed else { throw WorkError("the strategy cannot combine the results of regions") }
    return parts.central
  }

  /// - Parameter output: the model's file. The state's file is beside it.
  func write(to output: String) async throws -> Output {
    // The metadata has no task id, so that the same rounds of another task give the same bytes.
    let metadata = ["muster.round": "\(item.key.round)"]
    let stateOut = strategy.optimizer.memory.isEmpty ? nil : "\(output)-state"
    let result = try await offloadLong { () throws(AggregationError) in
      try aggregate(
        base: base, updates: updates, strategy: strategy, output: output, metadata: metadata, durable: false, stateIn: state,
        stateOut: stateOut)
    }
    return Output(model: output, state: stateOut, refused: result.refused.map { Waiting(node: $0.path, reason: $0.reason) })
  }
}
