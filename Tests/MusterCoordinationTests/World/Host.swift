import MusterSchema

@testable import MusterCoordination

/// A machine as a shell runs it: with its own clock, its journal, and a life that can end.
final class Host<M: Machine> {
  private(set) var machine: M
  private(set) var journal: [(at: Instant, record: M.Record)] = []
  /// The journal as a store keeps it: without what later records made superfluous.
  private(set) var kept: [(at: Instant, record: M.Record)] = []
  private(set) var isUp = true
  /// Grows with each start: what an earlier life began is nobody's any more.
  private(set) var life = 1
  /// Dies when its journal holds so many records, in the middle of a batch too.
  var diesAfterRecords: Int?
  var timer = 0

  private let restore: ([(at: Instant, record: M.Record)]) -> M
  private var base = Instant.zero
  private var since: Int64 = 0

  init(_ restore: @escaping ([(at: Instant, record: M.Record)]) -> M) {
    self.restore = restore
    machine = restore([])
  }

  /// The machine's own time: resumed from the last commit, so that downtime spends nothing.
  func now(_ time: Int64) -> Instant { Instant(milliseconds: base.milliseconds + time - since) }

  /// - Returns: nil when it died on the way.
  func handle(_ event: M.Event, at time: Int64) -> (records: [M.Record], effects: [M.Effect])? {
    guard isUp else { return nil }
    let now = now(time)
    let (records, effects) = machine.handle(event, at: now)
    for record in records {
      journal.append((now, record))
      kept.removeAll { $0.record.task == record.task && record.supersedes.contains($0.record.kind) }
      kept.append((now, record))
      if journal.count == diesAfterRecords {
        diesAfterRecords = nil
        isUp = false
        return nil
      }
    }
    return (records, effects)
  }

  func die() { isUp = false }

  func start(at time: Int64) {
    machine = restore(kept)
    base = journal.last?.at ?? .zero
    since = time
    life += 1
    isUp = true
  }

  func replay(_ records: [(at: Instant, record: M.Record)]) -> M { restore(records) }

  func forgetEverything() {
    journal = []
    kept = []
  }
}
