import GRDB
import MusterSchema

// Changes to the history. Each is a few statements that touch only the rows of its own round.
extension Database {
  func apply(_ change: HistoryChange, at time: WallTime?) throws {
    let at = time?.milliseconds
    let isNews = try make(change, at)
    guard isNews, let (kind, details) = change.event else { return }
    try run(
      "INSERT INTO event (task, kind, details, at) VALUES (\(Self.number), ?, ?, ?)",
      [change.task.rawValue, kind.rawValue, try column(details), at])
  }

  /// - Returns: false when the change had been made before.
  private func make(_ change: HistoryChange, _ at: Int64?) throws -> Bool {
    switch change {
    case .began(let task, let name, let specification, let isOver):
      let isAnother = "SELECT EXISTS (SELECT 1 FROM task WHERE id = ? AND retired IS NOT NULL)"
      if !isOver, try Bool.fetchOne(self, sql: isAnother, arguments: [task.rawValue]) ?? false { try forget(task) }
      try run(
        "INSERT INTO task (id, name, specification, began) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        [task.rawValue, name, try column(specification), at])
      return changesCount > 0
    case .contributed(let key, let contribution): try insert(contribution, key, at)
    case .published(let task, let model): try insert(model, task, at)
    case .evaluated(let task, let round, let metrics):
      try run("UPDATE model SET metrics = ? WHERE task = \(Self.number) AND round = ?", [try column(metrics), task.rawValue, round])
    case .completed(let task, let record): try complete(task, record, at)
    case .missed(let task, let round, let phase, let nodes):
      try miss(task, round, phase, nodes, at)
      try countMissed(task, round)
    case .retained(let task, let models, let updates): try retain(task, models, updatesSince: updates)
    case .ended(let task, let step, let reason):
      try run("UPDATE task SET step = ?, reason = ?, ended = ? WHERE id = ?", [step.rawValue, reason, at, task.rawValue])
    case .retired(let task, let last):
      try run("UPDATE task SET retired = ? WHERE id = ?", [try column(last) ?? "", task.rawValue])
      // Kept models stay for download. Updates are kept only for later rounds and for a replay soon after the end, so they are released.
      try retain(task, nil, updatesSince: .max)
    case .happened: break
    case .forgotten(let task): try forget(task)
    }
    return true
  }

  /// SQL for the number of the task whose id is the next argument.
  static let number = "(SELECT number FROM task WHERE id = ?)"

  private func run(_ sql: String, _ arguments: StatementArguments) throws { try cachedStatement(sql: sql).execute(arguments: arguments) }

  private func insert(_ contribution: ContributionRecord, _ key: ContributionKey, _ at: Int64?) throws {
    // An upgraded journal names some contributions twice: alone, and in the record of their round.
    let isThere = """
      SELECT EXISTS (SELECT 1 FROM contribution WHERE task = \(Self.number) AND round = ? AND phase = ? AND node = ? AND digest IS NOT NULL)
      """
    let place: StatementArguments = [key.task.rawValue, key.round, key.phase.rawValue, key.path.description]
    if try Bool.fetchOne(cachedStatement(sql: isThere), arguments: place) ?? false { return }
    try run(
      """
      INSERT INTO contribution (task, round, phase, node, fate, reason, digest, bytes, weight, count, metrics, kept, at)
      VALUES (\(Self.number), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        key.task.rawValue, key.round, key.phase.rawValue, key.path.description, Fate.accepted.rawValue, contribution.reason,
        contribution.digest.column, contribution.bytes, contribution.weight, contribution.count, try column(contribution.metrics),
        // An evaluation is stored in its row, while an update has its bytes in a blob.
        key.phase == .train, at,
      ])
  }

  private func insert(_ model: ModelCheckpoint, _ task: TaskID, _ at: Int64?) throws {
    try run(
      """
      INSERT OR REPLACE INTO model (task, round, digest, bytes, wire, wire_bytes, state, metrics, device_metrics, kept, made)
      VALUES (\(Self.number), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        task.rawValue, model.round, model.digest.column, model.bytes, model.wire?.digest.column, model.wire?.bytes, model.state?.column,
        try column(model.metrics), try column(model.deviceMetrics), model.kept, at,
      ])
  }

  private func complete(_ task: TaskID, _ record: RoundRecord, _ at: Int64?) throws {
    try run(
      """
      UPDATE task SET rounds = rounds + 1
      WHERE id = ? AND NOT EXISTS (SELECT 1 FROM round WHERE round.task = task.number AND round = ?)
      """, [task.rawValue, record.round])
    let updates = RoundSummary.Updates(record.updates)
    try run(
      """
      INSERT INTO round (
        task, round, attempts, base, result, strategy, metrics, device_metrics, seconds,
        updates, counted, devices, counted_devices, samples, bytes, evaluations, missing, missed, ended)
      VALUES (\(Self.number), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '[]', ?)
      ON CONFLICT (task, round) DO UPDATE SET
        attempts = excluded.attempts, result = coalesce(excluded.result, result), metrics = coalesce(excluded.metrics, metrics),
        device_metrics = coalesce(excluded.device_metrics, device_metrics), seconds = seconds + excluded.seconds,
        updates = updates + excluded.updates, counted = counted + excluded.counted, devices = devices + excluded.devices,
        counted_devices = counted_devices + excluded.counted_devices, samples = samples + excluded.samples,
        bytes = bytes + excluded.bytes, evaluations = evaluations + excluded.evaluations, ended = excluded.ended
      """,
      [
        task.rawValue, record.round, record.attempts, record.base.column, record.result?.column, try column(record.strategy),
        try column(record.metrics), try column(record.deviceMetrics), record.seconds, updates.accepted, updates.counted, updates.devices,
        updates.countedDevices, updates.samples, updates.bytes, record.evaluations.count, at,
      ])
    for (phase, contributions) in [(Phase.train, record.updates), (.evaluate, record.evaluations)] where !contributions.isEmpty {
      try decide(task, record.round, phase, contributions)
    }
    try miss(task, record.round, record.updates.isEmpty ? .evaluate : .train, record.missed, at)
    try countMissed(task, record.round)
    if let metrics = record.deviceMetrics {
      try run(
        "UPDATE model SET device_metrics = ? WHERE task = \(Self.number) AND round = ?", [try column(metrics), task.rawValue, record.round])
    }
  }

  /// Stores the fates of a phase's contributions. A contribution without another fate counts.
  private func decide(_ task: TaskID, _ round: Int, _ phase: Phase, _ contributions: [ContributionRecord]) throws {
    try run(
      "UPDATE contribution SET fate = ? WHERE task = \(Self.number) AND round = ? AND phase = ? AND fate = ?",
      [Fate.counted.rawValue, task.rawValue, round, phase.rawValue, Fate.accepted.rawValue])
    for contribution in contributions where contribution.fate != .counted {
      try run(
        "UPDATE contribution SET fate = ?, reason = ? WHERE task = \(Self.number) AND round = ? AND phase = ? AND node = ? AND digest IS NOT NULL",
        [contribution.fate.rawValue, contribution.reason, task.rawValue, round, phase.rawValue, contribution.path.description])
    }
  }

  private func miss(_ task: TaskID, _ round: Int, _ phase: Phase, _ nodes: [Waiting], _ at: Int64?) throws {
    for node in nodes {
      try run(
        "INSERT INTO contribution (task, round, phase, node, fate, reason, at) VALUES (\(Self.number), ?, ?, ?, ?, ?, ?)",
        [task.rawValue, round, phase.rawValue, node.node, (node.fate ?? .missed).rawValue, node.reason, at])
    }
  }

  /// Updates the round's row from the rows of the nodes that missed it. Those rows may have been written before the round's row.
  private func countMissed(_ task: TaskID, _ round: Int) throws {
    let rows = try Row.fetchAll(
      cachedStatement(
        sql: """
          SELECT node, fate, reason FROM contribution WHERE task = \(Self.number) AND round = ? AND digest IS NULL ORDER BY number
          LIMIT \(RoundSummary.mostMissed)
          """), arguments: [task.rawValue, round])
    let first = try rows.map { Waiting(node: $0["node"], reason: $0["reason"] ?? "", fate: try $0.named(Fate.self, "fate")) }
    try run(
      """
      UPDATE round
      SET missing = (SELECT count(*) FROM contribution WHERE contribution.task = round.task AND contribution.round = round.round AND digest IS NULL), missed = ?
      WHERE task = \(Self.number) AND round = ?
      """, [try column(first), task.rawValue, round])
  }

  /// Releases the blobs that a task no longer keeps.
  ///
  /// - Parameters:
  ///   - models: the models to keep; `nil` releases no model.
  ///   - first: updates of earlier rounds are released.
  private func retain(_ task: TaskID, _ models: RetainedModels?, updatesSince first: Int) throws {
    let sql = "SELECT number, kept_since FROM task WHERE id = ?"
    guard let row = try Row.fetchOne(cachedStatement(sql: sql), arguments: [task.rawValue]) else { return }
    let (number, since): (Int, Int) = (row["number"], row["kept_since"])
    if first > since {
      let leaving = "task = ? AND round >= ? AND round < ? AND phase = 'train' AND kept"
      try run(
        "INSERT INTO released (digest) SELECT digest FROM contribution INDEXED BY contribution_of_round WHERE \(leaving)",
        [number, since, first])
      try run("UPDATE contribution INDEXED BY contribution_of_round SET kept = 0 WHERE \(leaving)", [number, since, first])
      try run("UPDATE task SET kept_since = ? WHERE number = ?", [first, number])
    }
    guard let models else { return }
    let gone = "task = ? AND kept AND round < ? AND round NOT IN (\(models.earlier.map { _ in "?" }.joined(separator: ", ")))"
    let arguments = StatementArguments([number, models.since] + models.earlier)
    for digest in ["digest", "wire", "state"] {
      try run(
        "INSERT INTO released (digest) SELECT \(digest) FROM model INDEXED BY model_kept_of_task WHERE \(gone) AND \(digest) IS NOT NULL",
        arguments)
    }
    try run("UPDATE model INDEXED BY model_kept_of_task SET kept = 0 WHERE \(gone)", arguments)
  }

  /// Hides the task at once. ``removeForgotten(most:)`` removes its rows later, in small steps.
  private func forget(_ task: TaskID) throws {
    try retain(task, RetainedModels.none, updatesSince: .max)
    try run("UPDATE task SET id = CAST(number AS TEXT) || ' gone', gone = 1, step = 'cancelled' WHERE id = ?", [task.rawValue])
  }

  /// Removes at most `most` contributions and as many events of a forgotten task. Then removes the task with its rounds and models.
  ///
  /// - Returns: false when no forgotten task is left.
  func removeForgotten(most: Int) throws -> Bool {
    guard let number = try Int.fetchOne(self, sql: "SELECT number FROM task WHERE gone LIMIT 1") else { return false }
    for table in ["contribution", "event"] {
      try execute(
        sql: "DELETE FROM \(table) WHERE number IN (SELECT number FROM \(table) INDEXED BY \(table)_of_task WHERE task = ? LIMIT ?)",
        arguments: [number, most])
      if changesCount >= most { return true }
    }
    try execute(sql: "DELETE FROM task WHERE number = ?", arguments: [number])
    return true
  }
}
