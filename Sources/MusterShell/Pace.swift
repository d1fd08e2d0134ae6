import MusterParticipation
import MusterSchema

/// Words about tasks, said at most once a second for each task. The newest word replaces one that waits; an urgent one is not held back.
struct Pace<Word> {
  private var waiting: [TaskID: (word: Word, isUrgent: Bool)] = [:]
  /// When something was last said; only the last second matters.
  private var said: [TaskID: Instant] = [:]

  /// Seconds between two words on the same task.
  static var interval: Double { 1 }

  mutating func put(_ word: Word, on task: TaskID, urgent: Bool) {
    waiting[task] = (word, urgent || waiting[task]?.isUrgent ?? false)
  }

  /// When the next word may be said; nil when none waits.
  var next: Instant? {
    waiting.map { task, word in word.isUrgent ? .zero : said[task]?.advanced(bySeconds: Self.interval) ?? .zero }.min()
  }

  /// Removes and returns what may be said now, in the order of the tasks.
  mutating func take(at now: Instant) -> [(task: TaskID, word: Word, isUrgent: Bool)] {
    said = said.filter { now < $0.value.advanced(bySeconds: Self.interval) }
    let due = waiting.filter { $0.value.isUrgent || said[$0.key] == nil }.sorted { $0.key < $1.key }
    for (task, _) in due {
      waiting[task] = nil
      said[task] = now
    }
    return due.map { (task: $0.key, word: $0.value.word, isUrgent: $0.value.isUrgent) }
  }
}

extension Pace: Sendable where Word: Sendable {}
