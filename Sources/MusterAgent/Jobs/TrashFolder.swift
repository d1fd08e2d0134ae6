import MusterGround
import Synchronization

/// Removes folders without making anybody wait: a trainer may leave any number of files, and removing them takes its time.
///
/// A folder is renamed into this one at once, so that its name is free, and emptied by a thread that lives as long as there is work.
final class TrashFolder: Sendable {
  private struct State {
    var count = 0
    var waiting: [String] = []
    var isWorking = false
  }

  private let path: String
  private let mark: String
  private let state = Mutex(State())

  /// - Parameter mark: tells this process's entries from those of an earlier one, which are removed now.
  init(_ path: String, mark: String) throws(FileError) {
    self.path = path
    self.mark = mark
    try Files.makeFolder(path)
    for name in Files.names(in: path) { add("\(path)/\(name)") }
  }

  /// Removes a file or a folder. What is not there is fine.
  func take(_ old: String) {
    guard Files.isThere(old) else { return }
    let number = state.withLock { state in
      state.count += 1
      return state.count
    }
    let place = "\(path)/\(mark).\(number)"
    do throws(FileError) {
      try Files.rename(old, to: place)
      add(place)
    } catch {
      // A folder that its owner may not write to is not moved either.
      Files.remove(old)
    }
  }

  private func add(_ place: String) {
    let starts = state.withLock { state in
      state.waiting.append(place)
      defer { state.isWorking = true }
      return !state.isWorking
    }
    if starts { BlockingPool.shared.run { self.work() } }
  }

  private func work() {
    while let place = state.withLock({ state in
      state.isWorking = !state.waiting.isEmpty
      return state.waiting.popLast()
    }) { Files.remove(place) }
  }
}
