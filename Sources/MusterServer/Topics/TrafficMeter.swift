import FoundationEssentials
package import Logging
package import MusterSchema
import Synchronization

/// Bytes of bodies that crossed a coordinator's data listener, by task. Kept over restarts, at most some seconds old.
///
/// Bounded by the coordinator's own tasks: a task is counted from its first invitation, until the coordinator forgets it; of an open task the
/// bases of its latest rounds are known, of an ended one none.
package final class TrafficMeter: Sendable {
  private struct State: Codable {
    var version = 1
    var tasks: [String: Traffic] = [:]
    /// Which task a blob was last handed out for.
    var blobs: [String: String] = [:]
    /// The bases of each task, the latest last.
    var bases: [String: [String]]?
  }

  /// Rounds whose base a device may still be downloading.
  private static let latestBases = 4

  private struct Book {
    var state: State
    var isChanged = false
  }

  private let book: Mutex<Book>
  private let file: String
  private let logger: Logger

  /// - Parameter folder: where `traffic.json` lies; what is there and not understood is begun anew: these are figures, nothing hangs on them.
  package init(folder: String, logger: Logger) {
    file = "\(folder)/traffic.json"
    self.logger = logger
    var state = State()
    do {
      let found = try JSON.decode(State.self, from: Array(try Data(contentsOf: URL(filePath: file))))
      for traffic in found.tasks.values { try traffic.checkRanges() }
      if found.version == 1 { state = found }
    } catch let error as CocoaError where error.code == .fileReadNoSuchFile {
      // The first start.
    } catch {
      logger.notice("the byte counts cannot be read: \(systemReason(error))", metadata: ["file": "\(file)"])
    }
    book = Mutex(Book(state: state))
  }

  /// The blob is a base of this task from now on.
  package func handsOut(_ blob: Digest, for task: TaskID) {
    book.withLock { book in
      guard book.state.blobs.updateValue(task.rawValue, forKey: blob.hexadecimal) != task.rawValue else { return }
      book.isChanged = true
      if book.state.tasks[task.rawValue] == nil { book.state.tasks[task.rawValue] = Traffic() }
      var bases = (book.state.bases?[task.rawValue] ?? []).filter { $0 != blob.hexadecimal } + [blob.hexadecimal]
      while bases.count > Self.latestBases {
        let old = bases.removeFirst()
        if book.state.blobs[old] == task.rawValue { book.state.blobs[old] = nil }
      }
      book.state.bases = (book.state.bases ?? [:]).merging([task.rawValue: bases]) { $1 }
    }
  }

  package func received(_ bytes: Int, of task: TaskID) { add(task.rawValue) { $0.received += bytes } }

  package func sent(_ bytes: Int, of blob: Digest) {
    guard let task = book.withLock({ $0.state.blobs[blob.hexadecimal] }) else { return }
    add(task) { $0.sent += bytes }
  }

  /// A task that nobody was invited to is not ours: anyone can write any name into an address.
  private func add(_ task: String, _ change: (inout Traffic) -> Void) {
    book.withLock { book in
      guard var traffic = book.state.tasks[task] else { return }
      change(&traffic)
      traffic.received = Bounds.traffic.limited(traffic.received)
      traffic.sent = Bounds.traffic.limited(traffic.sent)
      book.state.tasks[task] = traffic
      book.isChanged = true
    }
  }

  /// What version 0.1.0 wrote: every base that a task ever had, in no order.
  private static func bases(_ blobs: [String: String]) -> [String: [String]] {
    Dictionary(grouping: blobs.keys.sorted()) { blobs[$0] ?? "" }.mapValues { $0.suffix(latestBases) }
  }

  package func traffic(of task: TaskID) -> Traffic { book.withLock { $0.state.tasks[task.rawValue] ?? Traffic() } }

  /// Forgets tasks that are not known any more and the bases of those that have ended, and writes the rest when it changed.
  ///
  /// - Parameters:
  ///   - tasks: those that the coordinator knows.
  ///   - open: those of them that have not ended.
  package func save(keeping tasks: some Sequence<TaskID>, open: some Sequence<TaskID>) {
    let (known, open) = (Set(tasks.map(\.rawValue)), Set(open.map(\.rawValue)))
    let state = book.withLock { book -> State? in
      let before = (book.state.tasks.count, book.state.blobs.count)
      book.state.tasks = book.state.tasks.filter { known.contains($0.key) }
      book.state.bases = (book.state.bases ?? Self.bases(book.state.blobs)).filter { open.contains($0.key) }
      book.state.blobs = book.state.blobs.filter { book.state.bases?[$0.value]?.contains($0.key) ?? false }
      guard book.isChanged || before != (book.state.tasks.count, book.state.blobs.count) else { return nil }
      book.isChanged = false
      return book.state
    }
    guard let state else { return }
    do {
      try Data(try JSON.encode(state)).write(to: URL(filePath: file), options: .atomic)
    } catch {
      logger.notice("the byte counts cannot be written: \(systemReason(error))", metadata: ["file": "\(file)"])
    }
  }
}
