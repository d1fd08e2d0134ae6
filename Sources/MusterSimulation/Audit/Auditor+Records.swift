internal import MusterCoordination
internal import MusterParticipation
internal import MusterSchema

// Checks on records that have become durable.
extension Auditor {
  /// Checks a record of central, or of a region's coordinator.
  func committed(_ record: Coordinator.Record, at instant: Instant, by ledger: NodeID) {
    if ledger == .central { follow("central", instant) }
    let id = record.task
    let key = BookKey(ledger: ledger, task: id)
    if books[key] == nil {
      switch record {
      case .accepted:
        books[key] = Book()
        tasks.append(id)
        return
      case .forwarded(let descriptor):
        books[key] = Book()
        books[key]?.beganWithTheEnd = descriptor.state.isFinal
      default: return fails("\(ledger): record \(record.kind) belongs to the unknown task \(id)")
      }
    }
    guard var book = books.removeValue(forKey: key) else { return }
    if ledger == .central {
      check(!book.isEnded || ["evaluated", "retired"].contains(record.kind), "task \(id): record \(record.kind) follows the end")
      enter(record, id, &book)
    } else {
      enter(record, id, &book, at: ledger)
    }
    books[key] = book
  }

  private func enter(_ record: Coordinator.Record, _ id: TaskID, _ book: inout Book) {
    switch record {
    case .accepted, .forwarded: fails("task \(id) is accepted twice")
    case .revised(_, let revision, _):
      check(revision == book.revision + 1, "task \(id): revision \(revision) follows \(book.revision)")
      book.revision = revision
    case .published(_, let round, let model, _): published(id, round, model.digest, &book)
    case .opened(_, let opening): opened(id, opening, &book)
    case .contributed(_, let round, let phase, let contribution): contributed(id, PhaseKey(round: round, phase: phase), contribution, &book)
    case .closed(_, let round, let phase):
      check(book.closed.insert(PhaseKey(round: round, phase: phase)).inserted, "task \(id): round \(round), \(phase) closes twice")
    case .reopened(_, let round, let refused):
      let rows = book.rows[PhaseKey(round: round, phase: .train)] ?? [:]
      check(
        book.closed.remove(PhaseKey(round: round, phase: .train)) != nil,
        "task \(id): round \(round) was reopened without having been closed")
      check(book.models[round] == nil, "task \(id): round \(round) was reopened although it has a model")
      let known = Set(rows.keys.map(\.description))
      check(refused.allSatisfy { known.contains($0.node) }, "task \(id), round \(round): a contribution that never counted was refused")
    case .completed(_, let record, _): completed(id, record, &book)
    case .ended(_, _, let reason):
      check(!reason.contains(World.diskFull), "task \(id) ended because of a full disk, which is temporary: \(reason)")
      let isRecorded = world.unstorable?(id, "completed") != true
      for (key, rows) in book.rows where isRecorded && key.round > book.completed && !rows.isEmpty {
        fails("task \(id) ended, but no record contains the contributions that count in round \(key.round)")
      }
      book.revision += 1
      book.isEnded = true
    case .retired: book.isRetired = true
    case .summarized(_, let progress):
      check(progress.rounds == book.completed, "task \(id): \(progress.rounds) rounds are summarized, \(book.completed) are complete")
    case .evaluated, .forgotten, .combined, .missed: break
    }
  }

  private func published(_ id: TaskID, _ round: Int, _ digest: Digest, _ book: inout Book) {
    check(book.models[round] == nil && (round == 0 || book.models[round - 1] != nil), "task \(id): model \(round) is out of order")
    if round > 0 {
      let key = PhaseKey(round: round, phase: .train)
      check(book.closed.contains(key), "task \(id): round \(round) is aggregated before it was closed")
      check(digest == fold(id, key, book), "task \(id): the model of round \(round) was not made from the contributions that count")
    }
    book.models[round] = digest
  }

  /// The digest of the model that the rows of a phase give.
  private func fold(_ id: TaskID, _ key: PhaseKey, _ book: Book) -> Digest {
    let rows = book.rows[key] ?? [:]
    let contributions = rows.keys.sorted().compactMap { path in
      rows[path].map { ContributionRecord(path: path, digest: $0, weight: 1, bytes: 1, metrics: [:]) }
    }
    return world.modelDigest(id, key.round, contributions)
  }

  private func opened(_ id: TaskID, _ opening: PhaseOpening, _ book: inout Book) {
    let key = opening.key
    if let last = book.lastOpened { check(last < key, "task \(id): \(key) opens after \(last)") }
    check(key.round == book.completed + 1, "task \(id): round \(key.round) opens after \(book.completed) complete rounds")
    let base = book.models[key.phase == .train ? key.round - 1 : key.round]
    check(base == opening.base.digest, "task \(id): \(key) does not start from the expected model")
    check(!book.closed.contains(PhaseKey(round: key.round, phase: key.phase)), "task \(id): \(key) opens after its phase was closed")
    book.lastOpened = key
    book.opened.insert(key)
  }

  private func contributed(_ id: TaskID, _ key: PhaseKey, _ contribution: ContributionRecord, _ book: inout Book) {
    let path = contribution.path
    check(!book.closed.contains(key), "task \(id): \(path) is accepted in round \(key.round), \(key.phase), after it was closed")
    check(
      book.opened.contains { $0.round == key.round && $0.phase == key.phase },
      "task \(id): \(path) is accepted in a round that never opened")
    let numbers = contribution.metrics.values + [contribution.weight]
    check(numbers.allSatisfy { abs($0) <= 1e100 }, "task \(id), round \(key.round): \(path) counts with numbers that cannot be added up")
    let earlier = book.rows[key, default: [:]].updateValue(contribution.digest, forKey: path)
    check(earlier == nil && book.settled[key]?[path] == nil, "task \(id), round \(key.round), \(key.phase): \(path) counts twice")
  }

  private func completed(_ id: TaskID, _ record: RoundRecord, _ book: inout Book) {
    check(record.round == book.completed + 1, "task \(id): round \(record.round) was completed after \(book.completed) complete rounds")
    book.completed = record.round
    names(id, record, book)
  }

  /// Checks that the round's record names every row, and nothing else.
  private func names(_ id: TaskID, _ record: RoundRecord, _ book: Book) {
    for (phase, list) in [(Phase.train, record.updates), (.evaluate, record.evaluations)] {
      let rows = book.rows[PhaseKey(round: record.round, phase: phase)] ?? [:]
      check(Set(list.map(\.path)).count == list.count, "task \(id), round \(record.round): the record names a path twice")
      for contribution in list {
        check(
          rows[contribution.path] == contribution.digest,
          "task \(id), round \(record.round), \(phase): the record names a contribution of \(contribution.path) that never counted")
      }
      if list.count < rows.count, let gone = rows.keys.sorted().first(where: { path in !list.contains { $0.path == path } }) {
        fails("task \(id), round \(record.round), \(phase): \(gone) was accepted but is missing from the record")
      }
    }
  }

  // MARK: Regions

  func committed(_ record: RegionMachine.Record, at instant: Instant, by region: RegionProcess) { follow(region.name, instant) }

  private func enter(_ record: Coordinator.Record, _ id: TaskID, _ book: inout Book, at region: NodeID) {
    switch record {
    case .missed, .summarized: break
    case .accepted, .published, .revised, .reopened, .evaluated, .ended:
      fails("\(region) has a record that only central may have: \(record.kind)")
    case .forwarded(let descriptor): if descriptor.state.isFinal { settles(id, region, book) }
    case .opened(_, let opening):
      if opening.continues != true {
        settles(id, region, book)
        book.closed = []
      }
      book.opened.insert(opening.key)
      orders[region, default: [:]][id] = opening.key
    case .contributed(_, let round, let phase, let contribution): contributed(id, PhaseKey(round: round, phase: phase), contribution, &book)
    case .closed(_, let round, let phase): book.closed.insert(PhaseKey(round: round, phase: phase))
    case .combined(_, let combined):
      guard let key = orders[region]?[id] else { return fails("\(region) combines for \(id) without an order") }
      let digest = fold(id, PhaseKey(round: key.round, phase: key.phase), book)
      check(combined.result.digest == digest, "task \(id), \(key): \(region)'s contribution was not made from the contributions that count")
    case .completed(_, let record, _): settled(id, record, &book)
    case .forgotten, .retired:
      settles(id, region, book)
      book = Book()
    }
  }

  /// Checks that no row is left without a record.
  private func settles(_ id: TaskID, _ region: NodeID, _ book: Book) {
    for (key, rows) in book.rows where !rows.isEmpty {
      fails("task \(id): \(region) moved on, but no record contains what it accepted in round \(key.round), \(key.phase)")
    }
  }

  private func settled(_ id: TaskID, _ record: RoundRecord, _ book: inout Book) {
    for contribution in record.updates + record.evaluations where contribution.reason?.contains(World.diskFull) == true {
      fails("task \(id), round \(record.round): \(contribution.path) was abandoned because of a full disk, which is temporary")
    }
    names(id, record, book)
    for (key, rows) in book.rows where key.round == record.round {
      let list = key.phase == .train ? record.updates : record.evaluations
      guard !list.isEmpty else { continue }
      book.settled[key, default: [:]].merge(rows) { _, new in new }
      book.rows[key] = nil
    }
  }
}
