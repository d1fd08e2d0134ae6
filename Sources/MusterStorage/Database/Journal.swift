package import MusterSchema

/// One durable record of a machine, opaque to the store.
package struct JournalEntry: Hashable, Sendable {
  /// The machine of the program that made the record: `coordinator` for central, `region` for a region.
  package var machine: String
  package var task: TaskID?
  /// The kind of record, by which ``JournalRange`` selects.
  package var kind: String
  /// The machine's own time in milliseconds.
  package var at: Int64
  /// The record as JSON.
  package var body: [UInt8]
  /// The time of day of the commit; `nil` before the commit, and for rows that version 0.1.0 wrote.
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

/// Selects the entries that new ones replace: those of one machine and one task, of certain kinds, older than an instant.
package struct JournalRange: Hashable, Sendable {
  package var machine: String
  /// `nil` selects the entries that belong to no task.
  package var task: TaskID?
  /// An empty list selects every kind.
  package var kinds: [String]
  /// Selects only entries whose machine time is earlier than this; `nil` selects all.
  package var before: Int64?

  package init(machine: String, task: TaskID?, kinds: [String] = [], before: Int64? = nil) {
    self.machine = machine
    self.task = task
    self.kinds = kinds
    self.before = before
  }
}
