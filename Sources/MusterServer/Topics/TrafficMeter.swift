import FoundationEssentials
package import Logging
package import MusterSchema
import Synchronization

/// Counts the bytes of bodies on a coordinator's data listener, by task. The counts survive restarts; a crash loses the last few seconds.
///
/// Memory is bounded by the coordinator's own tasks: a task is counted from its first invitation until the coordinator forgets it. For an
/// open task the bases of its latest rounds are stored, for an ended task none.
package final class TrafficMeter: Sendable {
  private struct State: Codable {
    var version = 1
    var tasks: [String: Traffic] = [:]
    /// The task for which a blob was last in an invitation.
    var blobs: [String: String] = [:]
    /// The bases of each task, the newest last.
    var bases: [String: [String]]?
  }

  /// Number of newest bases of a task that a device may still be downloading.
  private static let latestBases = 4

  private struct Book {
    var state: State
    var isChanged = false
  }

  private let book: Mutex<Book>
  private let file: String
  private let logger: Logger

  /// - Parameter folder: the folder of `traffic.json`. Counting starts from zero if the file cannot be read, because nothing depends on it.
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

  /// Counts downloads of the blob for this task from now on.
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

  /// Ignores tasks to which no node was invited, because anyone can write any task id into an address.
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

  /// Bases from a file of version 0.1.0, which has every base that a task ever had, in no order.
  private static func bases(_ blobs: [String: String]) -> [String: [String]] {
    Dictionary(grouping: blobs.keys.sorted()) { blobs[$0] ?? "" }.mapValues { $0.suffix(latestBases) }
  }

  package func traffic(of task: TaskID) -> Traffic { book.withLock { $0.state.tasks[task.rawValue] ?? Traffic() } }

  /// Removes tasks that are no longer known and the bases of ended tasks, and writes the file if anything has changed.
  ///
  /// - Parameters:
  ///   - tasks: all tasks that the coordinator knows.
  ///   - open: the tasks among them that have not ended.
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
