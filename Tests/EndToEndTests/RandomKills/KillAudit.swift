import MusterSchema

/// Compares the records with the recorded traffic. Every sentence that it returns is a broken promise.
enum KillAudit {
  /// - Parameters:
  ///   - uploads: uploads of all tasks that passed completely, with any result.
  ///   - answers: the ledgers' answers.
  ///   - records: the records of each task.
  static func problems(
    _ uploads: Set<ContributionRecorder.Upload>, _ answers: [ContributionRecorder.Answered], _ records: [KillRecords]
  ) -> [String] {
    promises(uploads, answers, records.flatMap(\.rows)) + records.flatMap(course) + records.flatMap(regionalCounts)
  }

  /// Checks that every contribution that was answered with 201 is in the record once, with the same bytes.
  static func promises(
    _ uploads: Set<ContributionRecorder.Upload>, _ answers: [ContributionRecorder.Answered], _ rows: [KillRecords.Row]
  ) -> [String] {
    var problems: [String] = []
    let recorded = Dictionary(grouping: rows, by: \.key)
    for (key, rows) in recorded.sorted(by: { $0.key < $1.key }) where rows.count != 1 {
      let fates = rows.map { "\($0.contribution.fate.rawValue) \($0.contribution.digest.hexadecimal.prefix(8))" }
      problems.append("\(key) is in the record \(rows.count) times: \(fates.joined(separator: ", "))")
    }
    let stored = Dictionary(grouping: answers.filter { $0.status == 201 }, by: \.upload.key)
    for (key, answers) in stored.sorted(by: { $0.key < $1.key }) {
      if answers.count > 1 { problems.append("\(key) was answered 201 \(answers.count) times") }
      for answer in answers where recorded[key]?.contains(where: { $0.contribution.digest == answer.upload.digest }) != true {
        let there = recorded[key]?.map { "\($0.contribution.digest)" } ?? []
        problems.append(
          "\(key) was answered 201 with \(answer.upload.digest), and the record has \(there.isEmpty ? "nothing of it" : "\(there)")")
      }
    }
    // The record contains only contributions that were uploaded.
    for row in rows where !uploads.contains(.init(key: row.key, digest: row.contribution.digest)) {
      problems.append("\(row.key) is in the record with \(row.contribution.digest), which nobody uploaded")
    }
    return problems
  }

  /// Checks that every task has completed round by round, and that each round started from the model of the round before.
  static func course(_ record: KillRecords) -> [String] {
    let (task, detail) = (record.task, record.central)
    var problems: [String] = []
    if detail.summary.step != .completed { problems.append("\(task.id) is \(detail.summary.step.rawValue): \(detail.summary.why)") }
    let rounds = detail.rounds.map(\.round)
    if rounds != Array(1...task.specification.rounds) { problems.append("\(task.id) has records of the rounds \(rounds)") }
    var base = detail.models.first { $0.round == 0 }?.digest
    for round in detail.rounds {
      if round.base != base { problems.append("round \(round.round) of \(task.id) did not start from the model before it") }
      base = round.result
      let counted = round.updates.filter { $0.fate == .counted }.reduce(0) { $0 + $1.devices }
      if counted < task.specification.cohort.minimum {
        problems.append("round \(round.round) of \(task.id) counts \(counted) devices, fewer than its minimum")
      }
    }
    if detail.models.last?.digest != base { problems.append("the last model of \(task.id) is not its last round's") }
    return problems
  }

  /// Checks that central counted what each region recorded as counted.
  static func regionalCounts(_ record: KillRecords) -> [String] {
    var problems: [String] = []
    for (region, known) in record.regions.sorted(by: { $0.key < $1.key }) {
      for round in known.rounds {
        let above = record.central.rounds.first { $0.round == round.round }
        for (name, own, all) in [("updates", round.updates, above?.updates), ("evaluations", round.evaluations, above?.evaluations)] {
          let counted = own.filter { $0.fate == .counted }
          let total = all?.filter { $0.path.description == region && $0.fate == .counted } ?? []
          let (devices, weight) = (total.reduce(0) { $0 + $1.devices }, total.reduce(0) { $0 + $1.weight })
          if counted.count != devices || counted.reduce(0, { $0 + $1.weight }) != weight {
            problems.append(
              "\(region) counts \(counted.count) \(name) in round \(round.round) of \(record.task.id), and central \(devices) of it")
          }
        }
      }
    }
    return problems
  }
}
