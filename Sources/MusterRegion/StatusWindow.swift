import MusterSchema

/// What the region says of itself above: of one batch only the newest word on each task, and whom it waits for at most once a second, as
/// the protocol has it for progress.
struct StatusWindow: Sendable {
  struct Word: Hashable, Sendable {
    var status: NodeStatus
    var lasting: Bool
  }

  private var said: [TaskID: ContinuousClock.Instant] = [:]
  private var pending: [TaskID: NodeStatus] = [:]

  var isPending: Bool { !pending.isEmpty }

  /// Takes a batch's words in their order, and gives back those to say now.
  mutating func take(_ words: some Sequence<Word>, at now: ContinuousClock.Instant) -> [Word] {
    // Only the last second matters.
    said = said.filter { now - $0.value < .seconds(1) }
    var newest: [TaskID: Word] = [:]
    for word in words {
      let lasting = word.lasting || newest[word.status.task]?.lasting ?? false
      newest[word.status.task] = Word(status: word.status, lasting: lasting)
    }
    var due: [Word] = []
    for (task, word) in newest.sorted(by: { $0.key < $1.key }) {
      if word.lasting {
        pending[task] = nil
        said[task] = now
        due.append(word)
      } else {
        pending[task] = word.status
      }
    }
    return due + self.due(at: now)
  }

  /// What had to wait and is due now.
  mutating func due(at now: ContinuousClock.Instant) -> [Word] {
    let tasks = pending.keys.filter { task in said[task].map { now - $0 >= .seconds(1) } ?? true }.sorted()
    return tasks.compactMap { task in
      said[task] = now
      return pending.removeValue(forKey: task).map { Word(status: $0, lasting: false) }
    }
  }
}
