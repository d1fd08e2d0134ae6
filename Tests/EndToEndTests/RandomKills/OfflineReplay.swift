import FoundationEssentials
import MusterSchema
import MusterTensors
import MusterTransfer
import TestSupport

/// Computes all models of a task again, from the recorded bytes and only with `muster aggregate`.
///
/// From the system it takes only the initial model and the records of the contributions that count.
struct OfflineReplay {
  let fleet: Fleet
  let recorder: ContributionRecorder

  /// - Returns: the differences.
  func problems(_ record: KillRecords) async throws -> [String] {
    let (task, detail) = (record.task, record.central)
    var problems: [String] = []
    guard let initial = detail.models.first(where: { $0.round == 0 }) else { return ["\(task.id) has no initial model"] }
    var base = fleet.folder.file("initial-\(task.id)")
    var state: String?
    try await fleet.http.download("\(fleet.data)/v1/blobs/\(initial.digest)", to: base, expecting: initial.digest, maximumBytes: 1 << 22)
    for round in detail.rounds {
      let updates = round.updates.filter { $0.fate == .counted }
      for update in updates where record.task.specification.upload == .region {
        problems += try await region(update, round, base, record)
      }
      let out = fleet.folder.file("offline-\(task.id)-\(round.round)")
      let fold = Fold(
        name: "\(task.id)-\(round.round)", strategy: task.central, base: base, updates: updates.map { ($0, task.weight(of: $0)) },
        metadata: ["muster.round": "\(round.round)"], stateIn: state, out: out)
      let digest = try await aggregate(fold)
      if digest != round.result {
        let recorded = round.result?.description ?? "nothing"
        problems.append("round \(round.round) of \(task.id) gives \(digest) offline, and the record says \(recorded)")
      }
      let stateOut = "\(out)-state"
      if FileManager.default.fileExists(atPath: stateOut) {
        state = stateOut
        let recorded = detail.models.first { $0.round == round.round }?.state
        if try self.digest(ofFile: stateOut) != recorded {
          problems.append("the optimizer's state of round \(round.round) of \(task.id) differs")
        }
      }
      base = out
    }
    if detail.rounds.isEmpty { problems.append("\(task.id) has no round") }
    return problems + (try await replay(task))
  }

  /// Checks that a region's contribution is the fold of the updates that the region recorded as counted.
  private func region(_ sent: ContributionRecord, _ round: RoundRecord, _ base: String, _ record: KillRecords) async throws -> [String] {
    let (region, task) = (sent.path.description, record.task)
    let own = record.regions[region]?.rounds.first { $0.round == round.round }?.updates.filter { $0.fate == .counted } ?? []
    // The metadata is taken from the region's file. The numbers in it are compared with the rows elsewhere.
    let metadata = try SafetensorsFile(path: recorder.body(sent.digest)).metadata
    let name = "\(task.id)-\(round.round)-\(region)"
    let digest = try await aggregate(
      Fold(
        name: name, strategy: task.regional, base: base, updates: own.map { ($0, $0.weight) }, metadata: metadata, stateIn: nil,
        out: fleet.folder.file("offline-\(name)")))
    guard digest != sent.digest else { return [] }
    return ["round \(round.round) of \(task.id): \(region) sent \(sent.digest), and its devices' updates give \(digest)"]
  }

  /// Lets central replay the task from its own store.
  private func replay(_ task: KillTask) async throws -> [String] {
    let (status, output) = try await fleet.muster(["task", "replay", task.id])
    let rows = output.split(separator: "\n").dropFirst().map { $0.split(separator: " ").prefix(2).joined(separator: " ") }
    let expected = (1...task.specification.rounds).map { "\($0) same" }
    return status == 0 && rows == expected ? [] : ["muster task replay \(task.id) says \(rows)"]
  }

  private struct Fold {
    var name: String
    var strategy: StrategySpecification
    var base: String
    var updates: [(record: ContributionRecord, weight: Double)]
    var metadata: [String: String]
    var stateIn: String?
    var out: String
  }

  private func aggregate(_ fold: Fold) async throws -> Digest {
    let folder = fleet.folder.file("fold-\(fold.name)")
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    // The files are folded in the order of their names.
    let files = try fold.updates.enumerated().map { index, update in
      let file = "\(folder)/\(100 + index)"
      try FileManager.default.copyItem(atPath: recorder.body(update.record.digest), toPath: file)
      return "\(file):\(update.weight)"
    }
    let strategy =
      if case .named(let name) = fold.strategy { name } else { String(decoding: try JSON.encode(fold.strategy), as: UTF8.self) }
    var arguments = ["aggregate", "--strategy", strategy, "--global", fold.base, "--out", fold.out, "--state-out", "\(fold.out)-state"]
    if let state = fold.stateIn { arguments += ["--state-in", state] }
    arguments += ["--metadata"] + fold.metadata.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" } + ["--update"] + files
    let (status, output) = try await fleet.muster(arguments)
    guard status == 0 else { throw TestSupportError("\(fold.name) cannot be computed offline: \(output)") }
    return try digest(ofFile: fold.out)
  }

  private func digest(ofFile file: String) throws -> Digest { Digest(of: try Data(contentsOf: URL(filePath: file))) }
}
