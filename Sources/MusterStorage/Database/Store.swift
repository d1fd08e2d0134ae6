package import MusterSchema

/// A blob that lost a reference, with the number of that release for ``Store/settleReleased(_:)``.
package struct BlobRelease: Hashable, Sendable {
  package var number: Int
  package var digest: Digest

  package init(number: Int, digest: Digest) {
    self.number = number
    self.digest = digest
  }
}

/// A server's database: the journal of its machines, the history, and the presence of nodes.
///
/// One transaction holds the records of a batch and the changes to the history that follow from them. No function blocks a cooperative
/// thread. A database engine conforms to this protocol, and `StoreConformance` in the tests checks what it must do.
package protocol Store: Sendable {
  /// Whether nothing had ever been committed here when the store was opened.
  var wasCreatedEmpty: Bool { get }

  // MARK: Journal

  /// Makes all changes durable in their order, or none of them.
  ///
  /// Cancelling the task does not stop a commit that has begun.
  ///
  /// - Returns: the time of day that is stored with the rows, for people.
  @discardableResult
  func commit(_ transaction: StoreTransaction) async throws(StorageError) -> WallTime
  /// Every entry of a machine, in the order in which they were appended.
  func entries(machine: String) async throws(StorageError) -> [JournalEntry]
  /// The machine's own time of its last commit in milliseconds; 0 before the first. It stays when entries are removed.
  func lastInstant(machine: String) async throws(StorageError) -> Int64

  // MARK: History

  func task(_ id: TaskID) async throws(StorageError) -> TaskRow?
  /// A page of the tasks, newest first.
  func tasks(_ filter: TaskFilter, _ page: PageRequest) async throws(StorageError) -> Page<TaskRow>
  /// The number of completed rounds of all tasks that ever existed.
  func roundsCompleted() async throws(StorageError) -> Int
  /// A page of a task's completed rounds, newest first, without the names of their nodes. The cursor is the round.
  func rounds(of task: TaskID, _ page: PageRequest) async throws(StorageError) -> Page<RoundSummary>
  /// A task's completed rounds with the names of their nodes, in ascending order.
  ///
  /// - Parameters:
  ///   - first: the first round of the result.
  ///   - most: the largest number of contributions and missed invitations, added up.
  /// - Returns: `nil` when there are more than `most` of them.
  func records(of task: TaskID, since first: Int, most: Int) async throws(StorageError) -> [RoundRecord]?
  func record(of task: TaskID, round: Int) async throws(StorageError) -> RoundRecord?
  /// A page of a task's models, newest first. The cursor is the round.
  func models(of task: TaskID, _ page: PageRequest) async throws(StorageError) -> Page<ModelCheckpoint>
  /// The contribution that was accepted under this key, whatever its fate is now.
  func contribution(_ key: ContributionKey) async throws(StorageError) -> ContributionRecord?
  /// The sorted paths of the nodes whose contributions to a phase were accepted.
  func paths(of task: TaskID, round: Int, _ phase: Phase) async throws(StorageError) -> [NodePath]
  /// A page of the contributions, newest first.
  func contributions(_ filter: ContributionFilter, _ page: PageRequest) async throws(StorageError) -> Page<ContributionRow>

  /// A page of the events, newest first.
  func events(_ filter: EventFilter, _ page: PageRequest) async throws(StorageError) -> Page<TaskEvent>
  /// At most `most` events with a higher number than `number`, in ascending order.
  func events(_ filter: EventFilter, since number: Int, most: Int) async throws(StorageError) -> [TaskEvent]

  // MARK: Blobs

  /// Blobs that lost a reference and may be removed, in the order in which they were released.
  ///
  /// - Parameters:
  ///   - number: the number of a release; only later releases are returned.
  ///   - most: the largest number of releases to return.
  func releasedBlobs(after number: Int, most: Int) async throws(StorageError) -> [BlobRelease]
  /// Those of the blobs that the history still keeps.
  func keptBlobs(among digests: Set<Digest>) async throws(StorageError) -> Set<Digest>
  /// Notes that the blobs of these releases were removed, or are kept because of another reference.
  func settleReleased(_ numbers: [Int]) async throws(StorageError)
  /// Removes a bounded number of rows of forgotten tasks.
  ///
  /// - Returns: whether there may be more to remove.
  func removeForgotten() async throws(StorageError) -> Bool

  // MARK: Registry

  /// All rows of the registry of members.
  func registry() async throws(StorageError) -> [RegistryRow]

  // MARK: Presence

  func presence() async throws(StorageError) -> [PresenceRow]
  /// Replaces the rows with the same node and state, and removes all rows of `nodes`, in one transaction.
  func savePresence(_ rows: [PresenceRow], forgetting nodes: [NodeID]) async throws(StorageError)
}

/// Records and changes that are made durable together.
package struct StoreTransaction: Sendable {
  package var entries: [JournalEntry]
  /// Older entries that the new ones replace. They are removed first.
  package var replacing: [JournalRange]
  package var changes: [StampedChange]
  /// Rows of the registry of members, to be replaced or removed in this order.
  package var registry: [RegistryRow]
  /// The time in milliseconds of a machine that may have no entry in the transaction.
  private var instant: (machine: String, at: Int64)?

  /// - Parameter instant: the machine whose batch this is, and its time in milliseconds.
  package init(
    _ entries: [JournalEntry] = [], replacing: [JournalRange] = [], changes: [HistoryChange] = [],
    registry: [RegistryRow] = [], at instant: (machine: String, at: Int64)? = nil
  ) {
    self.entries = entries
    self.replacing = replacing
    self.changes = changes.map { StampedChange($0) }
    self.registry = registry
    self.instant = instant
  }

  package var isEmpty: Bool { entries.isEmpty && replacing.isEmpty && changes.isEmpty && registry.isEmpty }

  /// The time of each machine that the transaction comes from.
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
    /// The change happens with the transaction.
    case now
    /// The change happened before this version kept a history; `nil` when its time is unknown.
    case earlier(WallTime?)
  }

  package var change: HistoryChange
  package var time: Time

  package init(_ change: HistoryChange, at time: Time = .now) {
    self.change = change
    self.time = time
  }
}
