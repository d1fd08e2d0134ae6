import MusterGround
import Synchronization

/// Removes folders in the background, because a trainer may leave any number of files and removing them takes long.
///
/// A folder is renamed into this one at once, so that its name is free. A thread of the pool then removes it.
final class TrashFolder: Sendable {
  private struct State {
    var count = 0
    var waiting: [String] = []
    var isWorking = false
  }

  private let path: String
  private let mark: String
  private let state = Mutex(State())

  /// - Parameter mark: distinguishes this process's entries from those of an earlier process, which are removed now.
  init(_ path: String, mark: String) throws(FileError) {
    self.path = path
    self.mark = mark
    try Files.makeFolder(path)
    for name in Files.names(in: path) { add("\(path)/\(name)") }
  }

  /// Removes a file or a folder. A path that does not exist is fine.
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
      // The rename fails for a folder without write permission, so remove it in place.
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
