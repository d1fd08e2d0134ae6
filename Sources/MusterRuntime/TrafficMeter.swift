import FoundationEssentials
package import Logging
package import MusterSchema
import Synchronization

/// Bytes of bodies that crossed a coordinator's data listener, by task. Kept over restarts, at most some seconds old.
package final class TrafficMeter: Sendable {
  private struct State: Codable {
    var version = 1
    var tasks: [String: Traffic] = [:]
    /// Which task a blob was last handed out for.
    var blobs: [String: String] = [:]
  }

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
      if found.version == 1 { state = found }
    } catch let error as CocoaError where error.code == .fileReadNoSuchFile {
      // The first start.
    } catch {
      logger.notice("the bytes counted so far cannot be read: \(error)", metadata: ["file": "\(file)"])
    }
    book = Mutex(Book(state: state))
  }

  /// The blob is a base of this task from now on.
  package func handsOut(_ blob: Digest, for task: TaskID) {
    book.withLock { book in
      guard book.state.blobs.updateValue(task.rawValue, forKey: blob.hexadecimal) != task.rawValue else { return }
      book.isChanged = true
    }
  }

  package func received(_ bytes: Int, of task: TaskID) { add(task.rawValue) { $0.received += bytes } }

  package func sent(_ bytes: Int, of blob: Digest) {
    guard let task = book.withLock({ $0.state.blobs[blob.hexadecimal] }) else { return }
    add(task) { $0.sent += bytes }
  }

  private func add(_ task: String, _ change: (inout Traffic) -> Void) {
    book.withLock { book in
      change(&book.state.tasks[task, default: Traffic()])
      book.isChanged = true
    }
  }

  package func traffic(of task: TaskID) -> Traffic { book.withLock { $0.state.tasks[task.rawValue] ?? Traffic() } }

  /// Forgets tasks that are not known any more, and writes the rest when it changed.
  package func save(keeping tasks: some Sequence<TaskID>) {
    let known = Set(tasks.map(\.rawValue))
    let state = book.withLock { book -> State? in
      guard book.isChanged else { return nil }
      book.isChanged = false
      book.state.tasks = book.state.tasks.filter { known.contains($0.key) }
      book.state.blobs = book.state.blobs.filter { known.contains($0.value) }
      return book.state
    }
    guard let state else { return }
    do {
      try Data(try JSON.encode(state)).write(to: URL(filePath: file), options: .atomic)
    } catch {
      logger.notice("the bytes counted cannot be written: \(error)", metadata: ["file": "\(file)"])
    }
  }
}
