package import MusterParticipation
package import MusterSchema

/// The machine of a server process: a ``Coordinator`` alone, or one bound to a participant of the coordinator above (``RegionMachine``).
package protocol ServerMachine: Machine where Record: HistoricRecord, Event: RepeatedEvent {
  /// The machine's name in the journal.
  static var journalName: String { get }

  var coordinator: Coordinator { get }

  /// The event that hands `event` to the coordinator.
  static func event(_ event: Coordinator.Event) -> Event

  /// The coordinator's event that `event` hands over; `nil` for any other event.
  static func coordinatorEvent(_ event: Event) -> Coordinator.Event?

  /// The machine that journal records lead to.
  init(id: NodeID, configuration: CoordinatorConfiguration, restoring records: [(at: Instant, record: Record)], at instant: Instant)

  /// The records that this version adds to a journal of version 0.1.0, by the position of the record that each follows.
  static func summaries(
    of records: [(at: Instant, record: Record)], id: NodeID, configuration: CoordinatorConfiguration
  ) -> [Int: Record]
}

extension Coordinator: ServerMachine {
  package static var journalName: String { "coordinator" }
  package var coordinator: Coordinator { self }
  package static func event(_ event: Event) -> Event { event }
  package static func coordinatorEvent(_ event: Event) -> Event? { event }
}

extension RegionMachine: ServerMachine {
  package static var journalName: String { "region" }
  package static func event(_ event: Coordinator.Event) -> Event { .below(event) }

  package static func coordinatorEvent(_ event: Event) -> Coordinator.Event? {
    if case .below(let event) = event { event } else { nil }
  }

  /// A region of central.
  package init(id: NodeID, configuration: CoordinatorConfiguration, restoring records: [(at: Instant, record: Record)], at instant: Instant)
  {
    self.init(id: id, above: .central, configuration: configuration, restoring: records, at: instant)
  }
}
