package import MusterSchema

/// A blob that lost a reference. ``number`` is for ``Store/settleReleased(_:)``.
package struct BlobRelease: Hashable, Sendable {
  package var number: Int
  package var digest: Digest

  package init(number: Int, digest: Digest) {
    self.number = number
    self.digest = digest
  }
}

/// A server's database: the journal of its machines, the history, and when nodes were seen.
///
/// One transaction holds the records of a batch and the changes to the history that follow from them. Every function waits off the cooperative
/// threads. Engines conform to it, and `StoreConformance` in the tests says what they must do.
package protocol Store: Sendable {
  /// Whether nothing was ever committed here before this start.
  var wasCreatedEmpty: Bool { get }

  // MARK: Journal

  /// Makes all changes durable, in their order, or none of them.
  ///
  /// It is not given up when the task is cancelled: what was begun is finished.
  ///
  /// - Returns: the time of day that is stored beside the rows, for people.
  @discardableResult
  func commit(_ transaction: StoreTransaction) async throws(StorageError) -> WallTime
  /// Every entry of a machine, in the order of appending.
  func entries(machine: String) async throws(StorageError) -> [JournalEntry]
  /// The machine's own time of its last commit, milliseconds; 0 before the first. It stays when entries go.
  func lastInstant(machine: String) async throws(StorageError) -> Int64

  // MARK: History

  func task(_ id: TaskID) async throws(StorageError) -> TaskRow?
  /// The newest first.
  func tasks(_ filter: TaskFilter, _ page: PageRequest) async throws(StorageError) -> Page<TaskRow>
  /// Rounds that are over, of all tasks there ever were.
  func roundsCompleted() async throws(StorageError) -> Int
  /// Rounds of a task that are over, the newest first, without the names of their nodes. The cursor is the round.
  func rounds(of task: TaskID, _ page: PageRequest) async throws(StorageError) -> Page<RoundSummary>
  /// Rounds of a task with the names of their nodes, in their order.
  ///
  /// - Parameters:
  ///   - first: the first round.
  ///   - most: of contributions and missed invitations together.
  /// - Returns: nil when there are more of them than that.
  func records(of task: TaskID, since first: Int, most: Int) async throws(StorageError) -> [RoundRecord]?
  func record(of task: TaskID, round: Int) async throws(StorageError) -> RoundRecord?
  /// Models of a task, the newest first. The cursor is the round.
  func models(of task: TaskID, _ page: PageRequest) async throws(StorageError) -> Page<ModelCheckpoint>
  /// What was accepted under this key, whatever became of it.
  func contribution(_ key: ContributionKey) async throws(StorageError) -> ContributionRecord?
  /// The paths whose contributions to a phase were accepted, sorted.
  func paths(of task: TaskID, round: Int, _ phase: Phase) async throws(StorageError) -> [NodePath]
  /// The newest first.
  func contributions(_ filter: ContributionFilter, _ page: PageRequest) async throws(StorageError) -> Page<ContributionRow>

  /// Events, the newest first.
  func events(_ filter: EventFilter, _ page: PageRequest) async throws(StorageError) -> Page<TaskEvent>
  /// Events after one, in their order, at most so many.
  func events(_ filter: EventFilter, since number: Int, most: Int) async throws(StorageError) -> [TaskEvent]

  // MARK: Blobs

  /// Blobs that lost a reference and may be removed, in the order of their release.
  ///
  /// - Parameters:
  ///   - number: of a release: only those behind it.
  ///   - most: upper bound on the releases of one answer.
  func releasedBlobs(after number: Int, most: Int) async throws(StorageError) -> [BlobRelease]
  /// Those of the blobs that the history keeps.
  func keptBlobs(among digests: Set<Digest>) async throws(StorageError) -> Set<Digest>
  /// The blobs of these releases are removed, or kept by something else.
  func settleReleased(_ numbers: [Int]) async throws(StorageError)
  /// Removes rows of forgotten tasks, a bounded number of them.
  ///
  /// - Returns: whether there are more.
  func removeForgotten() async throws(StorageError) -> Bool

  // MARK: Presence

  func presence() async throws(StorageError) -> [PresenceRow]
  /// Replaces the rows of these nodes and states, and removes all rows of `nodes`, in one transaction.
  func savePresence(_ rows: [PresenceRow], forgetting nodes: [NodeID]) async throws(StorageError)
}

/// What is made durable together.
package struct StoreTransaction: Sendable {
  package var entries: [JournalEntry]
  /// Older entries that these replace, removed first.
  package var replacing: [JournalRange]
  package var changes: [StampedChange]
  /// The time of a machine without an entry, milliseconds.
  private var instant: (machine: String, at: Int64)?

  /// - Parameter instant: the time of the machine that all of it comes from.
  package init(
    _ entries: [JournalEntry] = [], replacing: [JournalRange] = [], changes: [HistoryChange] = [],
    at instant: (machine: String, at: Int64)? = nil
  ) {
    self.entries = entries
    self.replacing = replacing
    self.changes = changes.map { StampedChange($0) }
    self.instant = instant
  }

  package var isEmpty: Bool { entries.isEmpty && replacing.isEmpty && changes.isEmpty }

  /// The times of machines that it comes from.
  package var instants: [String: Int64] {
    var instants: [String: Int64] = [:]
    for (machine, at) in entries.map({ ($0.machine, $0.at) }) + [instant].compactMap({ $0 }) {
      instants[machine] = max(instants[machine] ?? at, at)
    }
    return instants
  }
}

/// A change to the history, and when it happened.
package struct StampedChange: Hashable, Sendable {
  package enum Time: Hashable, Sendable {
    /// With the transaction.
    case now
    /// Before this version kept a history; nil: nothing says when.
    case earlier(WallTime?)
  }

  package var change: HistoryChange
  package var time: Time

  package init(_ change: HistoryChange, at time: Time = .now) {
    self.change = change
    self.time = time
  }
}
