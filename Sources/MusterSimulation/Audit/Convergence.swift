internal import MusterCoordination
internal import MusterParticipation
package import MusterSchema

// Conditions that must hold once faults have stopped and every task has ended.
extension World {
  /// The tasks that have not ended.
  var unfinished: [TaskID] {
    guard central.isUp else { return directory.tasks }
    let machine = central.machine
    return auditor.tasks.filter { machine.tasks[$0]?.isEnded != true }
  }

  /// The reason for which the task waits, according to central.
  package func why(_ task: TaskID) -> String { central.machine.explanation(task)?.sentence ?? "there is no task \(task)" }

  /// Checks that retained topics agree with the stores, that every process is online without work or jobs, and that each contribution
  /// that was answered with 201 is in a record.
  ///
  /// - Returns: the conditions that do not hold.
  func disagreements() -> [String] {
    var found: [String] = []
    func check(_ holds: Bool, _ what: @autoclosure () -> String) { if !holds { found.append(what()) } }
    coordinator(central.machine, .central, brokers[0], check)
    present(central.client, check)
    for region in regions {
      coordinator(region.machine.coordinator, region.id, region.below.broker, check)
      present(region.above, check)
      present(region.below, check)
      check(region.machine.participant.jobs.isEmpty, "\(region.id) still has a job")
      for (task, run) in region.machine.coordinator.tasks {
        check(run.isEnded, "\(region.id) does not know that \(task) has ended")
      }
    }
    for device in devices where !isShadowed(device) {
      present(device.client, check)
      check(
        device.machine.jobs.isEmpty,
        "\(device.name) still has a job: \(device.machine.jobs.values.map { "\($0.task) \($0.key) \($0.stage)" }.sorted())")
      let listed = region(device.region)?.machine.coordinator.descriptors.map(\.task) ?? []
      for (task, descriptor) in device.machine.tasks where !descriptor.state.isFinal {
        check(listed.contains(task), "\(device.name) still has task \(task), which \(device.region) does not list")
      }
      check(!device.isAtWork, "\(device.name) is still working")
    }
    for promise in promised where promise.task != SecondCentral.task {
      let history = promise.ledger == .central ? central.shell.disk.history : region(promise.ledger)?.shell.disk.history
      let record = history?.tasks[promise.task]?.rounds.first { $0.round == promise.round }
      let list = promise.phase == .train ? record?.updates : record?.evaluations
      check(
        list?.contains { $0.path == promise.contribution.path && $0.digest == promise.contribution.digest } ?? false,
        "\(promise.contribution.path) was answered with 201 by \(promise.ledger) in round \(promise.round) of \(promise.task), "
          + "but no record names it")
    }
    return found
  }

  /// Whether the device shares its id with another one. The two take turns.
  func isShadowed(_ device: DeviceProcess) -> Bool { devices.count { $0.id == device.id && $0.region == device.region } > 1 }

  private func coordinator(_ machine: Coordinator, _ id: NodeID, _ broker: Broker, _ check: (Bool, @autoclosure () -> String) -> Void) {
    let own = directory.key(.coordinatorState(id)).coordinator
    var retained = Dictionary(uniqueKeysWithValues: machine.descriptors.map { ($0.task, $0) })
    for key in broker.retained.keys.sorted() where key.coordinator == own {
      guard let packet = broker.retained[key] else { continue }
      let topic = directory.topic(key)
      switch packet.payload {
      case .descriptor(let descriptor):
        let owed = retained.removeValue(forKey: descriptor.task)
        check(
          owed?.revision == descriptor.revision && owed?.state == descriptor.state,
          "\(topic) holds revision \(descriptor.revision) (\(descriptor.state)), but the store has \(owed.map { "\($0.revision)" } ?? "none")"
        )
      case .status(let status):
        // A status that a node publishes for another one stays on its topic. A status of a task that the coordinator did not know at the
        // time is read again on the next connection.
        let book = auditor.books[Auditor.BookKey(ledger: id, task: status.task)]
        // A liar publishes a status before it is asked.
        guard status.node == directory.nodes[key.node], status.reason != "lies" else { continue }
        guard !lostDisks.contains(id), book?.beganWithTheEnd != true else { continue }
        check(machine.tasks[status.task]?.isEnded != true, "\(topic) still holds the status \(status.state), but the task has ended")
      default: break
      }
    }
    for task in retained.keys.sorted() {
      check(false, "\(id)'s topic of task \(task) has no retained message, but the store has the task")
    }
  }

  private func present(_ client: Client, _ check: (Bool, @autoclosure () -> String) -> Void) {
    guard client.owner.isUp else { return check(false, "\(client.name) is not up") }
    check(client.isConnected, "\(client.name) is not connected")
    let said: (online: Bool, session: String)? =
      switch client.broker.retained[client.presenceKey]?.payload {
      case .coordinator(let state): (state.online, state.session)
      case .node(let state): (state.online, state.session)
      default: nil
      }
    check(said?.online == true && said?.session == client.session, "\(client.name) is online, but its topic says otherwise")
  }
}
