import MusterParticipation
import MusterSchema

/// Messages about tasks, sent at most once a second for each task. A newer message replaces a waiting one; an urgent one is not held back.
struct Pace<Word> {
  private var waiting: [TaskID: (word: Word, isUrgent: Bool)] = [:]
  /// When a message about each task was last sent. Only the last second matters.
  private var said: [TaskID: Instant] = [:]

  /// Minimum seconds between two messages about the same task.
  static var interval: Double { 1 }

  mutating func put(_ word: Word, on task: TaskID, urgent: Bool) {
    waiting[task] = (word, urgent || waiting[task]?.isUrgent ?? false)
  }

  /// When the next message may be sent; `nil` if none waits.
  var next: Instant? {
    waiting.map { task, word in word.isUrgent ? .zero : said[task]?.advanced(bySeconds: Self.interval) ?? .zero }.min()
  }

  /// Removes and returns the messages that may be sent now, sorted by task.
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
