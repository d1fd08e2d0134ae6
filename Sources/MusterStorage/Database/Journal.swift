package import MusterSchema

/// One durable record of a machine, opaque to the store.
package struct JournalEntry: Hashable, Sendable {
  /// Which machine of the program: `coordinator`, `participant`.
  package var machine: String
  package var task: TaskID?
  /// What the record is, for ``JournalRange``.
  package var kind: String
  /// The machine's own time, milliseconds.
  package var at: Int64
  /// JSON.
  package var body: [UInt8]
  /// When the store committed it; nil before that, and for rows of version 0.1.0.
  package var committed: WallTime?

  package init(machine: String, task: TaskID?, kind: String, at: Int64, body: [UInt8], committed: WallTime? = nil) {
    self.machine = machine
    self.task = task
    self.kind = kind
    self.at = at
    self.body = body
    self.committed = committed
  }
}

/// Entries that new ones replace: those of a machine and a task, of some kinds, older than an instant.
package struct JournalRange: Hashable, Sendable {
  package var machine: String
  /// Nil: the entries that belong to no task.
  package var task: TaskID?
  /// Empty: every kind.
  package var kinds: [String]
  /// Only entries of the machine's time before this; nil: all.
  package var before: Int64?

  package init(machine: String, task: TaskID?, kinds: [String] = [], before: Int64? = nil) {
    self.machine = machine
    self.task = task
    self.kinds = kinds
    self.before = before
  }
}
